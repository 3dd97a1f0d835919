package probe

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"
)

func TestParseServices(t *testing.T) {
	got, err := ParseServices(" api=http://api:8080/healthz\n\tdb=https://db.internal/ ")
	want := []Service{{"api", "http://api:8080/healthz"}, {"db", "https://db.internal/"}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got %v %v", got, err)
	}
	for text, want := range map[string]string{
		"api":                   `services: wanted name=http(s)://host…, got "api"`,
		"=http://a":             `services: wanted name=http(s)://host…, got "=http://a"`,
		"api=file:///etc":       `services: wanted name=http(s)://host…, got "api=file:///etc"`,
		"a=http://a a=http:b":   `services: wanted name=http(s)://host…, got "a=http:b"`,
		"a=http://a a=http://b": `services: "a" is named twice`,
	} {
		if _, err := ParseServices(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func TestSinceMovesOnlyWithAChange(t *testing.T) {
	status := http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		out.WriteHeader(status)
	}))
	defer server.Close()
	long := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	past := []State{{Name: "api", Up: true, Since: long}, {Name: "gone", Up: true}}
	checks := 0
	watcher := New([]Service{{"api", server.URL}}, past, func(State) { checks++ })

	watcher.round(context.Background())
	states := watcher.States()
	if len(states) != 1 || !states[0].Up || !states[0].Since.Equal(long) || states[0].Detail != "200 OK" {
		t.Fatalf("still up: got %+v", states)
	}
	status = http.StatusInternalServerError
	watcher.round(context.Background())
	if state := watcher.States()[0]; state.Up || state.Since.Equal(long) {
		t.Errorf("now down: got %+v", state)
	}
	if checks != 2 {
		t.Errorf("onCheck ran %d times", checks)
	}
}

func TestStoppingSaysNothingAboutServices(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	watcher := New([]Service{{"api", "http://127.0.0.1:1"}}, nil, func(State) {})
	watcher.Run(ctx, time.Hour, func() { t.Error("a round counted") })
	if states := watcher.States(); len(states) != 0 {
		t.Errorf("got %+v", states)
	}
}
