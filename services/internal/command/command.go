// Package command is what the command lines of the platform's programs have in common.
package command

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"
)

// Run is a program with the world passed in; it returns the exit code, 2 for wrong usage.
type Run func(ctx context.Context, args []string, getenv func(string) string, out, messages io.Writer) int

// Main is run as a process, with its exit code; SIGTERM and SIGINT end its context.
func Main(run Run) {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// Line is a command line: [-listen ADDRESS] [COMMAND [OPERAND…]].
type Line struct {
	Listen   string
	Command  string // "serve" when none is given
	Operands []string
}

// Parse reads args; listen is the default address. False, and messages has usage, if they are wrong.
func Parse(name, usage, listen string, args []string, messages io.Writer) (Line, bool) {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(messages)
	flags.Usage = func() { fmt.Fprint(messages, usage) }
	flags.StringVar(&listen, "listen", listen, "")
	if err := flags.Parse(args); err != nil {
		return Line{}, false
	}
	operands := flags.Args()[min(1, flags.NArg()):]
	return Line{Listen: listen, Command: cmp.Or(flags.Arg(0), "serve"), Operands: operands}, true
}

// Version is the answer to the command of that name.
func Version(name, version string) map[string]string {
	return map[string]string{"name": name, "version": version, "go": runtime.Version()}
}

// Health is the answer to the command of that name; check says what is wrong, if anything is.
func Health(check error) (any, error) {
	return map[string]string{"status": "ok"}, check
}
