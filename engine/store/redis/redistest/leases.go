package redistest

import (
	"context"
	"testing"
)

// This file ends leases.

// EndLeases ends every lease of the stores on a server, as time would: those of a node that was
// killed hold up the next one for as long as they last. Fence numbers begin with the clock, so
// none comes again.
func EndLeases(t testing.TB, s *Server) {
	t.Helper()
	ctx := context.Background()
	c := s.Client()
	defer c.Close()
	for cursor := uint64(0); ; {
		keys, next, err := c.Scan(ctx, cursor, "*}:lease", 1000).Result()
		for _, key := range keys { // of a Cluster: not all in one slot
			if err == nil {
				err = c.Del(ctx, key).Err()
			}
		}
		if err != nil {
			t.Errorf("end the leases on %s: %v", s.Addr, err)
			return
		}
		if cursor = next; cursor == 0 {
			return
		}
	}
}
