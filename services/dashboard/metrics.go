package main

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/platform/internal/probe"
)

// newMetrics returns what to call with every checked state, and the page Prometheus reads.
func newMetrics() (func(probe.State), http.Handler) {
	up := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "dashboard_service_up", Help: "Whether the last check of the service succeeded.",
	}, []string{"service"})
	duration := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "dashboard_check_duration_seconds", Help: "Time the service took to answer.",
	}, []string{"service"})
	registry := prometheus.NewRegistry()
	registry.MustRegister(up, duration, collectors.NewGoCollector())
	measure := func(state probe.State) {
		value := 0.0
		if state.Up {
			value = 1
		}
		up.WithLabelValues(state.Name).Set(value)
		duration.WithLabelValues(state.Name).Observe(float64(state.Millis) / 1000)
	}
	return measure, promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
}
