package api

import (
	"bytes"
	"compress/gzip"
	"strconv"
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"
	"github.com/klauspost/compress/zstd"
)

// This file packs answers for those who accept it: zstd where it is known, else gzip.

// packFrom is the size, in bytes, from which packing saves more than it costs.
const packFrom = 1 << 10

var (
	// EncodeAll of one encoder may run many times at once, with a state for each processor.
	zstdPacker = sync.OnceValue(func() *zstd.Encoder {
		z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
		if err != nil {
			panic(err) // the options above are constants that the library knows
		}
		return z
	})
	gzipPackers = sync.Pool{New: func() any {
		z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		if err != nil {
			panic(err) // a constant that the library knows
		}
		return z
	}}
)

// pack shrinks an answer that is whole, large enough and text. The console's pages are left as
// they are: they are small, and hold what only the signed-in may see beside what others chose.
func pack(c *fiber.Ctx, need access) {
	answer := c.Response()
	if need&page != 0 || answer.IsBodyStream() || len(answer.Body()) == 0 || len(answer.Header.ContentEncoding()) > 0 || !packable(string(answer.Header.ContentType())) {
		return
	}
	if need&worker == 0 && c.Method() != fiber.MethodPost { // caches keep no other answers
		c.Vary(fiber.HeaderAcceptEncoding)
	}
	if len(answer.Body()) < packFrom || c.Method() == fiber.MethodHead {
		return
	}
	switch coding := codingOf(c.Get(fiber.HeaderAcceptEncoding)); coding {
	case "zstd":
		answer.SetBodyRaw(zstdPacker().EncodeAll(answer.Body(), nil))
		c.Set(fiber.HeaderContentEncoding, coding)
	case "gzip":
		var out bytes.Buffer
		z := gzipPackers.Get().(*gzip.Writer)
		z.Reset(&out)
		z.Write(answer.Body()) //nolint:errcheck // a buffer takes everything
		z.Close()              //nolint:errcheck // the same
		gzipPackers.Put(z)
		answer.SetBodyRaw(out.Bytes())
		c.Set(fiber.HeaderContentEncoding, coding)
	}
}

func packable(kind string) bool {
	kind, _, _ = strings.Cut(kind, ";")
	switch kind = strings.TrimSpace(kind); kind {
	case "application/json", "application/problem+json", "image/svg+xml":
		return true
	case "text/event-stream":
		return false
	}
	return strings.HasPrefix(kind, "text/")
}

// codingOf chooses from an Accept-Encoding header; "" for none. A coding with q=0 is refused,
// other weights do not matter where both are taken.
func codingOf(header string) string {
	takes := map[string]bool{}
	for part := range strings.SplitSeq(header, ",") {
		name, weight, _ := strings.Cut(part, ";")
		q := 1.0
		if value, ok := strings.CutPrefix(strings.ReplaceAll(strings.ToLower(weight), " ", ""), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(value, 64); err != nil {
				q = 0
			}
		}
		takes[strings.ToLower(strings.TrimSpace(name))] = q > 0
	}
	for _, coding := range []string{"zstd", "gzip"} {
		if takes[coding] {
			return coding
		}
	}
	return ""
}
