// Command dashboard shows which of the platform's services are up.
//
// The page is static files of the image; its data comes from /api/services. /status is the same
// as a plain page without scripts, /metrics the same for Prometheus.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"example.com/platform/internal/command"
	"example.com/platform/internal/probe"
	"example.com/platform/internal/respond"
	"example.com/platform/internal/serve"
)

var version = "unset" // by -ldflags "-X main.version=…"

const usage = `usage: dashboard [-listen ADDRESS] [COMMAND]

commands:
  serve    show the dashboard over HTTP (the default)
  check    see that the web files are there and the configuration is sound
  health   ask the dashboard that runs on ADDRESS whether it is well
  version  name and version of this program

environment:
  DASHBOARD_LISTEN    the default of -listen, itself ":8081" by default
  DASHBOARD_SERVICES  what to watch: "api=http://api:8080/healthz web=https://example.com/"
  DASHBOARD_INTERVAL  time between checks, "15s" by default
  DASHBOARD_WWW       folder of the web files, /srv/www by default
  DASHBOARD_STATE     file that remembers the states over restarts; none by default
`

type settings struct {
	listen   string
	services []probe.Service
	interval time.Duration
	www      string
	state    string
}

func main() { command.Main(run) }

func run(ctx context.Context, args []string, getenv func(string) string, out, messages io.Writer) int {
	line, ok := command.Parse("dashboard", usage, cmp.Or(getenv("DASHBOARD_LISTEN"), ":8081"), args, messages)
	if !ok {
		return 2
	}
	if len(line.Operands) > 0 {
		fmt.Fprint(messages, usage)
		return 2
	}
	switch line.Command {
	case "serve":
		config, err := settingsOf(line.Listen, getenv)
		if err == nil {
			err = serveHTTP(ctx, config, slog.New(slog.NewJSONHandler(messages, nil)))
		}
		if err != nil {
			fmt.Fprintln(messages, "dashboard:", err)
			return 1
		}
		return 0
	case "check":
		config, err := settingsOf(line.Listen, getenv)
		if err != nil {
			return respond.Print(out, nil, err)
		}
		result, err := checkFiles(config.www)
		return respond.Print(out, result, err)
	case "health":
		answer, err := command.Health(serve.CheckHealth(ctx, line.Listen))
		return respond.Print(out, answer, err)
	case "version":
		return respond.Print(out, command.Version("dashboard", version), nil)
	}
	fmt.Fprint(messages, usage)
	return 2
}

func settingsOf(listen string, getenv func(string) string) (settings, error) {
	services, err := probe.ParseServices(getenv("DASHBOARD_SERVICES"))
	if err != nil {
		return settings{}, err
	}
	interval, err := time.ParseDuration(cmp.Or(getenv("DASHBOARD_INTERVAL"), "15s"))
	if err != nil || interval < time.Second {
		return settings{}, fmt.Errorf("DASHBOARD_INTERVAL: wanted a duration of at least 1s, got %q", getenv("DASHBOARD_INTERVAL"))
	}
	return settings{
		listen:   listen,
		services: services,
		interval: interval,
		www:      cmp.Or(getenv("DASHBOARD_WWW"), "/srv/www"),
		state:    getenv("DASHBOARD_STATE"),
	}, nil
}

func serveHTTP(ctx context.Context, config settings, log *slog.Logger) error {
	files, err := os.OpenRoot(config.www)
	if err != nil {
		return err
	}
	defer files.Close()
	past, err := readStates(config.state)
	if err != nil {
		log.Warn("past states are lost", "reason", err.Error())
	}
	measure, metrics := newMetrics()
	watcher := probe.New(config.services, past, measure)
	// Before the watcher: a second dashboard by mistake must not touch the first one's states.
	listener, err := net.Listen("tcp", config.listen)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		watcher.Run(ctx, config.interval, func() {
			if err := writeStates(config.state, watcher.States()); err != nil {
				log.Warn("states are not saved", "reason", err.Error())
			}
		})
	}()
	// The watcher must not be writing its file any more when the process ends.
	defer func() { stop(); <-watched }()
	return serve.Run(ctx, listener, routes(files.FS(), metrics, watcher.States), log)
}
