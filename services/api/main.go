// Command api answers questions about the place it runs in: users, clocks, files and the network.
//
// Without arguments it serves HTTP; with a command it answers once, as one line of JSON, and
// exits with 0, or with 1 when the answer is an error.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"
	"time"

	"example.com/platform/internal/respond"
	"example.com/platform/internal/serve"
)

var version = "unset" // by -ldflags "-X main.version=…"

const usage = `usage: api [-listen ADDRESS] [COMMAND]

commands, each printing one line of JSON:
  serve           answer over HTTP (the default)
  health          ask the api that runs on ADDRESS whether it is well
  version         name and version of this program
  fetch URL       GET a page over HTTP or HTTPS, with the system's root certificates
  time ZONE       the time in ZONE, and in the zone that TZ names
  whoami          user, group and home of this process
  temp            create, write, read and remove a temporary file
  write PATH      try to create the file PATH (removed again at once)
  resolve HOST    the addresses of HOST

environment:
  API_LISTEN       the default of -listen, itself ":8080" by default
  API_FETCH_HOSTS  hosts that GET /fetch may ask, "example.com,.internal"; none by default, "*" is any
  API_DIAGNOSTICS  "1" switches GET /write and GET /resolve on
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is main with the world passed in; it returns the exit code, 2 for wrong usage.
func run(ctx context.Context, args []string, getenv func(string) string, out, messages io.Writer) int {
	flags := flag.NewFlagSet("api", flag.ContinueOnError)
	flags.SetOutput(messages)
	flags.Usage = func() { fmt.Fprint(messages, usage) }
	listen := flags.String("listen", fallback(getenv("API_LISTEN"), ":8080"), "")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	command, operands := fallback(flags.Arg(0), "serve"), flags.Args()[min(1, flags.NArg()):]
	if command == "serve" && len(operands) == 0 {
		if err := serveHTTP(ctx, *listen, gatesOf(getenv), messages); err != nil {
			fmt.Fprintln(messages, "api:", err)
			return 1
		}
		return 0
	}
	check, ok := checkOf(command, operands, *listen)
	if !ok {
		flags.Usage()
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	answer, err := check(ctx)
	return respond.Print(out, answer, err)
}

// checkOf finds the check a command line asks for; false if there is none of that name and arity.
func checkOf(command string, operands []string, listen string) (func(context.Context) (any, error), bool) {
	switch signature := fmt.Sprint(command, " ", len(operands)); signature {
	case "health 0":
		return func(ctx context.Context) (any, error) {
			return map[string]string{"status": "ok"}, serve.CheckHealth(ctx, listen)
		}, true
	case "version 0":
		return func(context.Context) (any, error) {
			return map[string]string{"name": "api", "version": version, "go": runtime.Version()}, nil
		}, true
	case "fetch 1":
		return func(ctx context.Context) (any, error) { return fetch(ctx, operands[0], []string{"*"}) }, true
	case "time 1":
		return func(context.Context) (any, error) { return clock(operands[0], time.Now()) }, true
	case "whoami 0":
		return func(context.Context) (any, error) { return whoami() }, true
	case "temp 0":
		return func(context.Context) (any, error) { return temp() }, true
	case "write 1":
		return func(context.Context) (any, error) { return write(operands[0]) }, true
	case "resolve 1":
		return func(ctx context.Context) (any, error) { return resolve(ctx, operands[0]) }, true
	}
	return nil, false
}

func serveHTTP(ctx context.Context, address string, gates gates, messages io.Writer) error {
	log := slog.New(slog.NewJSONHandler(messages, nil))
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return serve.Run(ctx, listener, routes(gates), log)
}

// gatesOf reads what the environment opens up; by default all of it stays shut.
func gatesOf(getenv func(string) string) gates {
	var hosts []string
	for host := range strings.SplitSeq(getenv("API_FETCH_HOSTS"), ",") {
		if host = strings.ToLower(strings.TrimSpace(host)); host != "" {
			hosts = append(hosts, host)
		}
	}
	return gates{fetchHosts: hosts, diagnostics: getenv("API_DIAGNOSTICS") == "1"}
}

func fallback(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
