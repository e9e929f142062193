package bench

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"time"

	"github.com/valyala/fasthttp"
)

// This file holds the two ways in which the load speaks HTTP. The lean one takes a quarter of
// the processor time of the other, so that the server has nearly both cores of a small
// machine; its ratio is the harder one. The other is what programs in Go use.

// sender sends one request and gives status and body.
type sender func(method, url, header, token string, body []byte, limit time.Duration) (int, []byte, error)

// The names of the senders.
const (
	loadStd  = "std"
	loadLean = "lean"
)

func senderNamed(name string) sender {
	if name == loadLean {
		return leanSender()
	}
	return stdSender()
}

func leanSender() sender {
	client := &fasthttp.Client{MaxConnsPerHost: 4096, NoDefaultUserAgentHeader: true}
	return func(method, url, header, token string, body []byte, limit time.Duration) (int, []byte, error) {
		req, resp := fasthttp.AcquireRequest(), fasthttp.AcquireResponse()
		defer fasthttp.ReleaseRequest(req)
		defer fasthttp.ReleaseResponse(resp)
		req.SetRequestURI(url)
		req.Header.SetMethod(method)
		req.Header.Set(header, token)
		if body != nil {
			req.Header.SetContentType("application/json")
			req.SetBodyRaw(body)
		}
		if err := client.DoTimeout(req, resp, limit); err != nil {
			return 0, nil, err
		}
		return resp.StatusCode(), append([]byte(nil), resp.Body()...), nil
	}
}

func stdSender() sender {
	client := &http.Client{Transport: &http.Transport{MaxIdleConns: 4096, MaxIdleConnsPerHost: 4096, DisableCompression: true}}
	return func(method, url, header, token string, body []byte, limit time.Duration) (int, []byte, error) {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
		if err != nil {
			return 0, nil, err
		}
		req.Header.Set(header, token)
		if body != nil {
			req.Header.Set("Content-Type", "application/json")
		}
		resp, err := client.Do(req)
		if err != nil {
			return 0, nil, err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return resp.StatusCode, text, err
	}
}
