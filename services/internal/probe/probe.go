// Package probe watches services by asking each for its health, again and again.
package probe

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// Service is something to watch: its health is "up" when URL answers with a 2xx status.
type Service struct {
	Name string
	URL  string
}

// State is what is known of a service. Since is when Up last changed.
type State struct {
	Name    string    `json:"name"`
	Up      bool      `json:"up"`
	Detail  string    `json:"detail"`
	Millis  int64     `json:"milliseconds"`
	Since   time.Time `json:"since"`
	Checked time.Time `json:"checked"`
}

// ParseServices reads "name=URL name=URL …"; names are unique, URLs are http or https.
func ParseServices(text string) ([]Service, error) {
	var services []Service
	for _, field := range strings.Fields(text) {
		name, address, found := strings.Cut(field, "=")
		target, err := url.Parse(address)
		if !found || name == "" || err != nil || target.Host == "" || (target.Scheme != "http" && target.Scheme != "https") {
			return nil, fmt.Errorf("services: wanted name=http(s)://host…, got %q", field)
		}
		if slices.ContainsFunc(services, func(other Service) bool { return other.Name == name }) {
			return nil, fmt.Errorf("services: %q is named twice", name)
		}
		services = append(services, Service{name, address})
	}
	return services, nil
}

// Watcher holds the last known state of every service; it may be used from many goroutines.
type Watcher struct {
	services []Service
	client   *http.Client
	onCheck  func(State)

	mutex  sync.RWMutex
	states map[string]State
}

// New returns a Watcher that calls onCheck after every check. Past states give "since" a memory
// over restarts; those of services that are no longer watched are dropped.
func New(services []Service, past []State, onCheck func(State)) *Watcher {
	watcher := &Watcher{
		services: services,
		client:   &http.Client{Timeout: 5 * time.Second},
		onCheck:  onCheck,
		states:   make(map[string]State, len(services)),
	}
	for _, state := range past {
		if slices.ContainsFunc(services, func(service Service) bool { return service.Name == state.Name }) {
			watcher.states[state.Name] = state
		}
	}
	return watcher
}

// States returns the known states in the order in which the services were given.
func (w *Watcher) States() []State {
	w.mutex.RLock()
	defer w.mutex.RUnlock()
	states := make([]State, 0, len(w.services))
	for _, service := range w.services {
		if state, known := w.states[service.Name]; known {
			states = append(states, state)
		}
	}
	return states
}

// Run checks all services now and then once per interval, until ctx is done. It calls onRound
// after each round, from one goroutine.
func (w *Watcher) Run(ctx context.Context, interval time.Duration, onRound func()) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		w.round(ctx)
		if ctx.Err() != nil {
			return
		}
		onRound()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (w *Watcher) round(ctx context.Context) {
	var group sync.WaitGroup
	for _, service := range w.services {
		group.Add(1)
		go func() {
			defer group.Done()
			state := w.check(ctx, service)
			if ctx.Err() != nil {
				return // we are being stopped; that says nothing about the service
			}
			w.record(state)
			w.onCheck(state)
		}()
	}
	group.Wait()
}

func (w *Watcher) check(ctx context.Context, service Service) State {
	begun := time.Now()
	state := State{Name: service.Name, Checked: begun, Since: begun}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, service.URL, nil)
	if err != nil {
		state.Detail = err.Error()
		return state
	}
	answer, err := w.client.Do(request)
	state.Millis = time.Since(begun).Milliseconds()
	if err != nil {
		state.Detail = err.Error()
		return state
	}
	defer answer.Body.Close()
	// Read to the end, within reason, so that the connection can be used again.
	_, _ = io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	state.Up = answer.StatusCode/100 == 2
	state.Detail = answer.Status
	return state
}

func (w *Watcher) record(state State) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if before, known := w.states[state.Name]; known && before.Up == state.Up {
		state.Since = before.Since
	}
	w.states[state.Name] = state
}
