package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func get(t *testing.T, open gates, target string) (int, string) {
	t.Helper()
	out := httptest.NewRecorder()
	routes(open).ServeHTTP(out, httptest.NewRequest("GET", target, nil))
	if !json.Valid(out.Body.Bytes()) {
		t.Fatalf("%s: not JSON: %q", target, out.Body)
	}
	return out.Code, strings.TrimSpace(out.Body.String())
}

func TestGatesAreShutByDefault(t *testing.T) {
	for target, want := range map[string]string{
		"/fetch?url=http://127.0.0.1/":  `{"error":"host refused: not in API_FETCH_HOSTS"}`,
		"/write?path=/tmp/never":        `{"error":"refused: set API_DIAGNOSTICS=1 to allow it"}`,
		"/resolve?host=db.internal":     `{"error":"refused: set API_DIAGNOSTICS=1 to allow it"}`,
		"/fetch?url=http://a.evil.test": `{"error":"host refused: not in API_FETCH_HOSTS"}`,
	} {
		if code, body := get(t, gates{}, target); code != 403 || body != want {
			t.Errorf("%s: got %d %s", target, code, body)
		}
	}
}

func TestStatusOfFaults(t *testing.T) {
	open := gates{fetchHosts: []string{"*"}, diagnostics: true}
	for target, want := range map[string]int{
		"/healthz":                   200,
		"/time?zone=Europe/Paris":    200,
		"/time?zone=../etc/passwd":   400,
		"/fetch?url=file:///etc":     400,
		"/fetch?url=%zz":             400,
		"/fetch?url=http://[::1]:1/": 502,
		"/temp":                      200,
		"/write?path=relative":       500,
		"/resolve?host=localhost":    200,
		"/nowhere":                   404,
	} {
		if code, body := get(t, open, target); code != want {
			t.Errorf("%s: got %d %s, want %d", target, code, body, want)
		}
	}
}

func TestAllowedHosts(t *testing.T) {
	for _, test := range []struct {
		target  string
		allowed string
		want    error
	}{
		{"https://example.com/x", "example.com", nil},
		{"https://API.Example.com.:8443", "example.com", nil},
		{"https://evilexample.com", "example.com", errHostRefused},
		{"https://example.com@evil.test", "example.com", errHostRefused},
		{"https://db.internal", ".internal", nil},
		{"https://internal", ".internal", errHostRefused},
		{"https://anything.test", "*", nil},
		{"ftp://example.com", "*", errBadURL},
		{"https://", "*", errBadURL},
	} {
		target, err := url.Parse(test.target)
		if err != nil {
			t.Fatal(err)
		}
		if got := checkURL(target, []string{test.allowed}); got != test.want {
			t.Errorf("%s with %s: got %v, want %v", test.target, test.allowed, got, test.want)
		}
	}
}

func TestFetch(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		_, _ = out.Write(bytes.Repeat([]byte("x"), fetchLimit+1))
	}))
	defer inside.Close()
	got, err := fetch(context.Background(), inside.URL, []string{"127.0.0.1"})
	want := fetched{URL: inside.URL, Status: 200, Protocol: "HTTP/1.1", Bytes: fetchLimit, Truncated: true}
	if err != nil || got != want {
		t.Errorf("got %+v %v, want %+v", got, err, want)
	}

	elsewhere := strings.Replace(inside.URL, "127.0.0.1", "localhost", 1)
	outside := httptest.NewServer(http.RedirectHandler(elsewhere, http.StatusFound))
	defer outside.Close()
	if _, err := fetch(context.Background(), outside.URL, []string{"127.0.0.1"}); err == nil {
		t.Error("followed a redirect to a host that is not allowed")
	}

	unknown := httptest.NewTLSServer(http.NotFoundHandler())
	defer unknown.Close()
	_, err = fetch(context.Background(), unknown.URL, []string{"*"})
	if err == nil || !strings.Contains(err.Error(), "certificate signed by unknown authority") {
		t.Errorf("private CA: got %v", err)
	}
}

func TestClock(t *testing.T) {
	now := time.Date(2027, 7, 1, 12, 0, 0, 0, time.UTC)
	got, err := clock("Europe/Paris", now)
	if err != nil || got.Time != "2027-07-01T14:00:00+02:00" || got.Abbreviation != "CEST" {
		t.Errorf("got %+v %v", got, err)
	}
	if _, err := clock("Europe/Atlantis", now); err == nil {
		t.Error("a zone that does not exist was accepted")
	}
}

func TestWriteLeavesExistingFilesAlone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := write(path); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := write(path); err == nil {
		t.Error("created a file that exists")
	}
	if text, _ := os.ReadFile(path); string(text) != "precious" {
		t.Errorf("the file now holds %q", text)
	}
}

func TestCommands(t *testing.T) {
	for _, test := range []struct {
		args string
		code int
		want string
	}{
		{"version", 0, `{"go":"`},
		{"time Europe/Paris", 0, `{"zone":"Europe/Paris"`},
		{"write nowhere", 1, `{"error":"wanted an absolute path, got \"nowhere\""}`},
		{"resolve 127.0.0.1", 0, `{"host":"127.0.0.1","addresses":["127.0.0.1"]}`},
		{"-listen 127.0.0.1:1 health", 1, `{"error":"Get \"http://127.0.0.1:1/healthz\"`},
		{"fetch", 2, ""},
		{"frobnicate", 2, ""},
	} {
		var out, messages bytes.Buffer
		code := run(context.Background(), strings.Fields(test.args), noEnvironment, &out, &messages)
		if code != test.code || !strings.HasPrefix(out.String(), test.want) {
			t.Errorf("api %s: got %d %s", test.args, code, out.String())
		}
		if (code == 2) != strings.HasPrefix(messages.String(), "usage: api") {
			t.Errorf("api %s: messages %s", test.args, messages.String())
		}
	}
}

func TestEnvironmentOpensGates(t *testing.T) {
	values := map[string]string{"API_FETCH_HOSTS": " Example.com,, .internal ", "API_DIAGNOSTICS": "1"}
	got := gatesOf(func(name string) string { return values[name] })
	if fmt.Sprint(got) != "{[example.com .internal] true}" {
		t.Errorf("got %v", got)
	}
	if got := gatesOf(noEnvironment); fmt.Sprint(got) != "{[] false}" {
		t.Errorf("by default: got %v", got)
	}
}

func noEnvironment(string) string { return "" }
