package main

import (
	_ "embed"
	"html/template"
	"io/fs"
	"net/http"
	"strings"
	"time"

	"example.com/platform/internal/probe"
	"example.com/platform/internal/respond"
)

//go:embed templates/status.html
var statusText string

var statusPage = template.Must(template.New("status").Funcs(template.FuncMap{
	"clock": func(moment time.Time) string { return moment.Local().Format("2006-01-02 15:04:05 MST") },
}).Parse(statusText))

// routes is the whole HTTP surface: web files from files, and what states tells as JSON, as a
// page and as metrics.
func routes(files fs.FS, metrics http.Handler, states func() []probe.State) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(out http.ResponseWriter, _ *http.Request) {
		respond.JSON(out, http.StatusOK, map[string]string{"status": "ok", "version": version})
	})
	mux.HandleFunc("GET /api/services", func(out http.ResponseWriter, _ *http.Request) {
		respond.JSON(out, http.StatusOK, map[string]any{"services": states()})
	})
	mux.HandleFunc("GET /status", func(out http.ResponseWriter, _ *http.Request) {
		out.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = statusPage.Execute(out, struct {
			Version  string
			Services []probe.State
			Now      time.Time
		}{version, states(), time.Now()})
	})
	mux.Handle("GET /metrics", metrics)
	mux.Handle("GET /", withoutListings(http.FileServerFS(files)))
	return withSecurityHeaders(mux)
}

// withoutListings hides what a folder holds; only the root has an index page.
func withoutListings(files http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		if path := request.URL.Path; path != "/" && strings.HasSuffix(path, "/") {
			http.NotFound(out, request)
			return
		}
		files.ServeHTTP(out, request)
	})
}

func withSecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
		header := out.Header()
		header.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(out, request)
	})
}
