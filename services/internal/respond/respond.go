// Package respond writes every answer of the platform's services, over HTTP or on a terminal, as one line of JSON.
package respond

import (
	"encoding/json"
	"io"
	"net/http"
)

// Fault is the answer to a request that failed.
type Fault struct {
	Error string `json:"error"`
}

// Line writes answer as one line of JSON. URLs stay readable: & < > are not escaped.
func Line(out io.Writer, answer any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(answer)
}

// JSON sends answer with the given HTTP status; caches and content sniffing are refused.
func JSON(out http.ResponseWriter, status int, answer any) {
	header := out.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	out.WriteHeader(status)
	// The status line is out: a client that hung up is all that can fail here.
	_ = Line(out, answer)
}

// Failure sends err as a Fault.
func Failure(out http.ResponseWriter, status int, err error) {
	JSON(out, status, Fault{Error: err.Error()})
}

// Print writes answer, or err as a Fault, and returns the exit code that belongs to it.
func Print(out io.Writer, answer any, err error) int {
	if err != nil {
		answer = Fault{Error: err.Error()}
	}
	if writeErr := Line(out, answer); writeErr != nil || err != nil {
		return 1
	}
	return 0
}
