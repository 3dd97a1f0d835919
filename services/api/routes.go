package main

import (
	"errors"
	"net/http"
	"time"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"example.com/platform/internal/respond"
)

// gates says which doors to the network and the disk are open to clients.
type gates struct {
	fetchHosts  []string
	diagnostics bool
}

var errDiagnostics = errors.New("refused: set API_DIAGNOSTICS=1 to allow it")

// routes is the whole HTTP surface. An answer is JSON; a failed check is {"error": …} with
// status 400 (the request), 403 (a shut gate), 500 (this machine) or 502 (another machine).
func routes(open gates) http.Handler {
	router := chi.NewRouter()
	router.Use(middleware.Recoverer, middleware.Timeout(20*time.Second))
	router.NotFound(func(out http.ResponseWriter, request *http.Request) {
		respond.Failure(out, http.StatusNotFound, errors.New("no such page: "+request.URL.Path))
	})
	router.Get("/healthz", func(out http.ResponseWriter, _ *http.Request) {
		respond.JSON(out, http.StatusOK, map[string]string{"status": "ok", "version": version})
	})
	router.Get("/time", answer(http.StatusBadRequest, func(request *http.Request) (any, error) {
		return clock(request.URL.Query().Get("zone"), time.Now())
	}))
	router.Get("/whoami", answer(http.StatusInternalServerError, func(*http.Request) (any, error) {
		return whoami()
	}))
	router.Get("/temp", answer(http.StatusInternalServerError, func(*http.Request) (any, error) {
		return temp()
	}))
	router.Get("/fetch", answer(http.StatusBadGateway, func(request *http.Request) (any, error) {
		return fetch(request.Context(), request.URL.Query().Get("url"), open.fetchHosts)
	}))
	router.Group(func(router chi.Router) {
		router.Use(gate(open.diagnostics))
		router.Get("/write", answer(http.StatusInternalServerError, func(request *http.Request) (any, error) {
			return write(request.URL.Query().Get("path"))
		}))
		router.Get("/resolve", answer(http.StatusBadGateway, func(request *http.Request) (any, error) {
			return resolve(request.Context(), request.URL.Query().Get("host"))
		}))
	})
	return router
}

// answer turns a check into a handler; failed is the status for errors that carry none themselves.
func answer(failed int, check func(*http.Request) (any, error)) http.HandlerFunc {
	return func(out http.ResponseWriter, request *http.Request) {
		result, err := check(request)
		switch {
		case errors.Is(err, errHostRefused):
			respond.Failure(out, http.StatusForbidden, err)
		case errors.Is(err, errBadURL):
			respond.Failure(out, http.StatusBadRequest, err)
		case err != nil:
			respond.Failure(out, failed, err)
		default:
			respond.JSON(out, http.StatusOK, result)
		}
	}
}

func gate(open bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(out http.ResponseWriter, request *http.Request) {
			if !open {
				respond.Failure(out, http.StatusForbidden, errDiagnostics)
				return
			}
			next.ServeHTTP(out, request)
		})
	}
}
