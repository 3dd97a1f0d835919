package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/platform/internal/probe"
)

var known = []probe.State{{
	Name: "api", Up: true, Detail: "200 <OK>",
	Since: time.Date(2027, 7, 1, 12, 0, 0, 0, time.UTC), Checked: time.Date(2027, 7, 1, 13, 0, 0, 0, time.UTC),
}}

func get(t *testing.T, path string) *httptest.ResponseRecorder {
	t.Helper()
	measure, metrics := newMetrics()
	measure(known[0])
	root, err := os.OpenRoot("web")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	out := httptest.NewRecorder()
	handler := routes(root.FS(), metrics, func() []probe.State { return known })
	handler.ServeHTTP(out, httptest.NewRequest("GET", path, nil))
	return out
}

func TestPages(t *testing.T) {
	for path, want := range map[string]string{
		"/":             `<script src="dashboard.js" defer></script>`,
		"/style.css":    "--up: #1a7f37;",
		"/dashboard.js": `fetch("/api/services"`,
		"/status":       `<tr class="up"><th scope="row">api</th><td>up</td>`,
		"/api/services": `{"services":[{"name":"api","up":true,"detail":"200 <OK>","milliseconds":0,"since":"2027-07-01T12:00:00Z"`,
		"/metrics":      `dashboard_service_up{service="api"} 1`,
		"/healthz":      `"status":"ok"`,
	} {
		out := get(t, path)
		if out.Code != 200 || !strings.Contains(out.Body.String(), want) {
			t.Errorf("%s: got %d %s", path, out.Code, out.Body)
		}
		if got := out.Header().Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options: got %q", path, got)
		}
	}
	if page := get(t, "/status").Body.String(); !strings.Contains(page, "200 &lt;OK&gt;") {
		t.Errorf("/status does not escape: %s", page)
	}
}

func TestNothingOutsideTheWebFolder(t *testing.T) {
	for _, path := range []string{"/missing.html", "/folder/", "/../main.go", "/%2e%2e/main.go"} {
		if out := get(t, path); out.Code == 200 {
			t.Errorf("%s: got %d %s", path, out.Code, out.Body)
		}
	}
}

func TestStatesSurviveARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	if states, err := readStates(path); err != nil || len(states) != 0 {
		t.Errorf("first start: got %v %v", states, err)
	}
	if err := writeStates(path, known); err != nil {
		t.Fatal(err)
	}
	if states, err := readStates(path); err != nil || len(states) != 1 || states[0] != known[0] {
		t.Errorf("got %v %v", states, err)
	}
	if err := os.WriteFile(path, []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readStates(path); err == nil {
		t.Error("a damaged file was read")
	}
}

func TestCommands(t *testing.T) {
	for _, test := range []struct {
		args, www, services, want string
		code                      int
	}{
		{"version", "", "", `{"go":"`, 0},
		{"check", "web", "", `{"folder":"web","files":4,"bytes":`, 0},
		{"check", "templates", "", `{"error":"templates: `, 1},
		{"check", "web", "api", `{"error":"services: wanted name=http(s)://host…, got \"api\""}`, 1},
		{"frobnicate", "", "", "", 2},
		{"check twice", "", "", "", 2},
	} {
		values := map[string]string{"DASHBOARD_WWW": test.www, "DASHBOARD_SERVICES": test.services}
		var out, messages bytes.Buffer
		getenv := func(name string) string { return values[name] }
		code := run(context.Background(), strings.Fields(test.args), getenv, &out, &messages)
		if code != test.code || !strings.HasPrefix(out.String(), test.want) {
			t.Errorf("dashboard %s: got %d %s", test.args, code, out.String())
		}
	}
}
