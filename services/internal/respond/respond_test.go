package respond

import (
	"bytes"
	"errors"
	"net/http/httptest"
	"testing"
)

func TestPrint(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer any
		err    error
		line   string
		code   int
	}{
		{"answer", map[string]string{"url": "https://a/?b&c"}, nil, `{"url":"https://a/?b&c"}` + "\n", 0},
		{"fault", nil, errors.New("no such zone"), `{"error":"no such zone"}` + "\n", 1},
		{"unprintable", make(chan int), nil, "", 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := Print(&out, test.answer, test.err); code != test.code || out.String() != test.line {
				t.Errorf("got %d %q, want %d %q", code, out.String(), test.code, test.line)
			}
		})
	}
}

func TestFailure(t *testing.T) {
	out := httptest.NewRecorder()
	Failure(out, 403, errors.New("refused"))
	if out.Code != 403 || out.Body.String() != `{"error":"refused"}`+"\n" {
		t.Errorf("got %d %q", out.Code, out.Body.String())
	}
	if got := out.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type: got %q", got)
	}
}
