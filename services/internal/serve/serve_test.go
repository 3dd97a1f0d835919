package serve

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
)

func start(t *testing.T, handler http.HandlerFunc) (address string, stop func() error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	go func() { ended <- Run(ctx, listener, handler, log) }()
	return listener.Addr().String(), func() error { cancel(); return <-ended }
}

func TestAnswersUntilStopped(t *testing.T) {
	address, stop := start(t, func(out http.ResponseWriter, _ *http.Request) { out.WriteHeader(200) })
	if err := CheckHealth(context.Background(), address); err != nil {
		t.Errorf("while it runs: %v", err)
	}
	if err := stop(); err != nil {
		t.Errorf("stopping: %v", err)
	}
	if err := CheckHealth(context.Background(), address); err == nil {
		t.Error("answers after it was stopped")
	}
}

func TestOpenRequestFinishesDuringShutdown(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	address, stop := start(t, func(out http.ResponseWriter, _ *http.Request) {
		close(entered)
		<-release
		_, _ = io.WriteString(out, "whole")
	})
	body := make(chan string, 1)
	go func() {
		answer, err := http.Get("http://" + address)
		if err != nil {
			body <- err.Error()
			return
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		body <- string(text)
	}()
	<-entered
	ended := make(chan error, 1)
	go func() { ended <- stop() }()
	close(release)
	if got := <-body; got != "whole" {
		t.Errorf("got %q", got)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestUnhealthy(t *testing.T) {
	address, stop := start(t, func(out http.ResponseWriter, _ *http.Request) { out.WriteHeader(503) })
	err := CheckHealth(context.Background(), address)
	if err == nil || !strings.HasSuffix(err.Error(), "/healthz: 503 Service Unavailable") {
		t.Errorf("got %v", err)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}
