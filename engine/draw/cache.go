// This file keeps the last pictures, by the hash of what they are made from.

package draw

import (
	"container/list"
	"crypto/sha256"
	"sync"
)

const (
	cacheEntries = 64
	cacheBytes   = 32 << 20
)

type key [sha256.Size]byte

func keyOf(format string, dot []byte) key {
	return sha256.Sum256(append([]byte(format+"\x00"), dot...))
}

// cache forgets what was asked for longest ago, beyond cacheEntries or cacheBytes.
type cache struct {
	mu    sync.Mutex
	order *list.List // of *cached, the latest in front
	byKey map[key]*list.Element
	bytes int
}

type cached struct {
	key  key
	data []byte
}

var pictures = &cache{order: list.New(), byKey: map[key]*list.Element{}}

// get returns a copy, so that callers may keep and change it.
func (c *cache) get(k key) ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[k]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(e)
	return append([]byte(nil), e.Value.(*cached).data...), true
}

func (c *cache) put(k key, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[k]; ok || len(data) > cacheBytes/4 {
		return
	}
	c.byKey[k] = c.order.PushFront(&cached{k, append([]byte(nil), data...)})
	c.bytes += len(data)
	for c.order.Len() > cacheEntries || c.bytes > cacheBytes {
		last := c.order.Remove(c.order.Back()).(*cached)
		delete(c.byKey, last.key)
		c.bytes -= len(last.data)
	}
}
