package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const fetchLimit = 64 << 10 // bytes of a body that are read

var (
	errHostRefused = errors.New("host refused: not in API_FETCH_HOSTS")
	errBadURL      = errors.New("not an http(s) URL with a host")
)

type fetched struct {
	URL       string `json:"url"`
	Status    int    `json:"status"`
	Protocol  string `json:"protocol"`
	TLS       string `json:"tls,omitempty"`
	Issuer    string `json:"issuer,omitempty"`
	Bytes     int64  `json:"bytes"`
	Truncated bool   `json:"truncated"`
}

// fetch asks for one page, with the system's root certificates. The page and every page it
// redirects to must be on one of the allowed hosts, or a service open to the world would fetch
// from inside its network for anybody.
func fetch(ctx context.Context, address string, allowed []string) (fetched, error) {
	target, err := url.Parse(address)
	if err != nil {
		return fetched{}, fmt.Errorf("%w: %v", errBadURL, err)
	}
	if err := checkURL(target, allowed); err != nil {
		return fetched{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return fetched{}, err
	}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		ForceAttemptHTTP2:      true,
		DisableKeepAlives:      true,
		MaxResponseHeaderBytes: fetchLimit,
	}
	client := http.Client{
		Transport: transport,
		Timeout:   15 * time.Second,
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if len(via) >= 5 {
				return errors.New("stopped after 5 redirects")
			}
			return checkURL(next.URL, allowed)
		},
	}
	answer, err := client.Do(request)
	if err != nil {
		return fetched{}, err
	}
	defer answer.Body.Close()
	size, err := io.Copy(io.Discard, io.LimitReader(answer.Body, fetchLimit+1))
	if err != nil {
		return fetched{}, err
	}
	result := fetched{
		URL:       answer.Request.URL.Redacted(),
		Status:    answer.StatusCode,
		Protocol:  answer.Proto,
		Bytes:     min(size, fetchLimit),
		Truncated: size > fetchLimit,
	}
	if state := answer.TLS; state != nil {
		result.TLS = tls.VersionName(state.Version)
		result.Issuer = state.PeerCertificates[0].Issuer.String()
	}
	return result, nil
}

// checkURL refuses other schemes than http and https, and hosts outside allowed: "example.com"
// stands for itself and all below it, ".internal" for all below it, "*" for any host.
func checkURL(target *url.URL, allowed []string) error {
	host := strings.ToLower(strings.TrimSuffix(target.Hostname(), "."))
	if (target.Scheme != "http" && target.Scheme != "https") || host == "" {
		return errBadURL
	}
	for _, suffix := range allowed {
		below := "." + strings.TrimPrefix(suffix, ".")
		if suffix == "*" || host == suffix || strings.HasSuffix(host, below) {
			return nil
		}
	}
	return errHostRefused
}
