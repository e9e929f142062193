package api

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"

	"github.com/gofiber/fiber/v2"

	"orrery/engine"
)

// This file shows data stores: as JSON and as pages. Nothing here changes them; that is what
// the handlers of a blueprint are for.

// Store is one data store in the list.
type Store struct {
	Blueprint string `json:"blueprint_name"`
	Store     string `json:"store"`
	Keys      int64  `json:"keys"`
	Declared  bool   `json:"declared"` // false: no loaded blueprint has it, only its values are left
}

// StoreEntry is one key of a data store.
type StoreEntry struct {
	Key     string          `json:"key"`
	Value   json.RawMessage `json:"value"`
	Initial bool            `json:"initial"` // no job has written it yet
}

func (s *Server) stores(c *fiber.Ctx) ([]Store, error) {
	initial := engine.Initial{}
	for _, b := range s.prints.List() {
		initial[b.Name] = b.Stores
	}
	all, err := s.jobs.Stores(c.UserContext(), initial)
	out := make([]Store, len(all))
	for i, one := range all {
		out[i] = Store{one.Blueprint, one.Store, one.Keys, one.Declared}
	}
	return out, err
}

func (s *Server) listStores(c *fiber.Ctx, _ *Client) error {
	all, err := s.stores(c)
	if err != nil {
		return err
	}
	return c.JSON(all)
}

// storePage is a part of one data store.
type storePage struct {
	Blueprint, Store string
	Entries          []StoreEntry
	Next             string // query of the next page, with its ?; "" on the last
}

// storeEntries answers one page, or with ?key= one entry; the next page is in the Link header.
func (s *Server) storeEntries(c *fiber.Ctx, _ *Client) error {
	if key := c.Query("key"); key != "" || c.Context().QueryArgs().Has("key") {
		return s.storeEntry(c, key)
	}
	p, err := s.readStore(c)
	if err != nil {
		return err
	}
	if p.Next != "" {
		c.Set(fiber.HeaderLink, "<"+c.Path()+p.Next+`>; rel="next"`)
	}
	return c.JSON(p.Entries)
}

func (s *Server) storeEntry(c *fiber.Ctx, key string) error {
	blueprint, name, initial, err := s.store(c)
	if err != nil {
		return err
	}
	e, ok, err := s.jobs.StoreValue(c.UserContext(), blueprint, name, initial, key)
	if err != nil {
		return err
	}
	if !ok {
		return problem(codeNotFound, "the data store has no key "+strconv.Quote(shortened(key)))
	}
	return c.JSON(StoreEntry(e))
}

// store finds the data store that the path names, and its initial values.
func (s *Server) store(c *fiber.Ctx) (blueprint, name string, initial map[string]json.RawMessage, err error) {
	for param, into := range map[string]*string{"blueprint": &blueprint, "store": &name} {
		if *into, err = url.PathUnescape(c.Params(param)); err != nil {
			return "", "", nil, problem(codeBadRequest, "the name in the path is not well formed")
		}
	}
	for _, b := range s.prints.List() {
		if b.Name == blueprint && b.Stores[name] != nil {
			return blueprint, name, b.Stores[name], nil
		}
	}
	all, err := s.stores(c) // of a blueprint that is loaded no more
	if err != nil {
		return "", "", nil, err
	}
	if !slices.ContainsFunc(all, func(one Store) bool { return one.Blueprint == blueprint && one.Store == name }) {
		return "", "", nil, problem(codeNotFound, "the blueprint "+strconv.Quote(shortened(blueprint))+" has no data store "+strconv.Quote(shortened(name))+"; GET /api/v1/stores lists them")
	}
	return blueprint, name, nil, nil
}

func (s *Server) readStore(c *fiber.Ctx) (*storePage, error) {
	blueprint, name, initial, err := s.store(c)
	if err != nil {
		return nil, err
	}
	limit, err := limitOf(c)
	if err != nil {
		return nil, err
	}
	from, err := base64.RawURLEncoding.DecodeString(c.Query("cursor"))
	if err != nil {
		return nil, problem(codeBadRequest, "this cursor is of no earlier page")
	}
	entries, next, err := s.jobs.StoreEntries(c.UserContext(), blueprint, name, initial, string(from), limit)
	if err != nil {
		return nil, err
	}
	p := &storePage{Blueprint: blueprint, Store: name, Entries: make([]StoreEntry, len(entries))}
	for i, e := range entries {
		p.Entries[i] = StoreEntry(e)
	}
	if next != "" {
		p.Next = "?" + url.Values{"cursor": {base64.RawURLEncoding.EncodeToString([]byte(next))}, "limit": {strconv.Itoa(limit)}}.Encode()
	}
	return p, nil
}

// watcher gives the visitor of a page that only watchers may see.
func (s *Server) watcher(c *fiber.Ctx, what string) (*Client, error) {
	who := s.visitor(c)
	if who == nil {
		return nil, s.render(c, fiber.StatusUnauthorized, "signin", "")
	}
	if !who.may(watchers) {
		return nil, s.pageFault(c, problem(codeForbidden, "the role "+strconv.Quote(who.Role)+" may not see "+what))
	}
	return who, nil
}

func (s *Server) pageStores(c *fiber.Ctx, _ *Client) error {
	who, err := s.watcher(c, "data stores")
	if who == nil {
		return err
	}
	all, err := s.stores(c)
	if err != nil {
		return s.pageFault(c, err)
	}
	return s.render(c, fiber.StatusOK, "stores", struct {
		frame
		Kept []Store
	}{s.frame(who, "Data stores"), all})
}

func (s *Server) pageStore(c *fiber.Ctx, _ *Client) error {
	who, err := s.watcher(c, "data stores")
	if who == nil {
		return err
	}
	p, err := s.readStore(c)
	if err != nil {
		return s.pageFault(c, err)
	}
	return s.render(c, fiber.StatusOK, "store", struct {
		frame
		*storePage
	}{s.frame(who, p.Store), p})
}
