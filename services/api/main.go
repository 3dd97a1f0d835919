// Command api answers questions about the place it runs in: users, clocks, files and the network.
//
// Without arguments it serves HTTP; with a command it answers once, as one line of JSON, and
// exits with 0, or with 1 when the answer is an error.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"example.com/platform/internal/command"
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

func main() { command.Main(run) }

func run(ctx context.Context, args []string, getenv func(string) string, out, messages io.Writer) int {
	line, ok := command.Parse("api", usage, cmp.Or(getenv("API_LISTEN"), ":8080"), args, messages)
	if !ok {
		return 2
	}
	if line.Command == "serve" && len(line.Operands) == 0 {
		log := slog.New(slog.NewJSONHandler(messages, nil))
		if err := serve.Listen(ctx, line.Listen, routes(gatesOf(getenv)), log); err != nil {
			fmt.Fprintln(messages, "api:", err)
			return 1
		}
		return 0
	}
	check, ok := checkOf(line)
	if !ok {
		fmt.Fprint(messages, usage)
		return 2
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	answer, err := check(ctx)
	return respond.Print(out, answer, err)
}

// checkOf finds the check a command line asks for; false if there is none of that name and arity.
func checkOf(line command.Line) (func(context.Context) (any, error), bool) {
	operands := line.Operands
	switch signature := fmt.Sprint(line.Command, " ", len(operands)); signature {
	case "health 0":
		return func(ctx context.Context) (any, error) { return command.Health(serve.CheckHealth(ctx, line.Listen)) }, true
	case "version 0":
		return func(context.Context) (any, error) { return command.Version("api", version), nil }, true
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
