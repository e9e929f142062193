package blueprint

import (
	"container/list"
	"sync"
)

// This file keeps the programs of older revisions that were used last.

type programCache struct {
	mu    sync.Mutex
	most  int
	order *list.List // of *Program, the last used first
	at    map[string]*list.Element
}

func newProgramCache(most int) *programCache {
	return &programCache{most: most, order: list.New(), at: map[string]*list.Element{}}
}

func (c *programCache) get(hash string) *Program {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.at[hash]
	if !ok {
		return nil
	}
	c.order.MoveToFront(e)
	return e.Value.(*Program)
}

func (c *programCache) put(hash string, p *Program) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.at[hash]; ok {
		return
	}
	c.at[hash] = c.order.PushFront(p)
	if c.order.Len() > c.most {
		last := c.order.Back()
		c.order.Remove(last)
		delete(c.at, last.Value.(*Program).Revision)
	}
}
