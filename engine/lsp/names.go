package lsp

import (
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"orrery/engine/analysis"
	"orrery/starlib/stub"
)

// This file finds out what a chain of names means: context.client is the page client.

var (
	makesBlueprint = regexp.MustCompile(`(?m)^\s*(\w+)\s*=\s*(?:StateMachineBlueprint|blueprint)\(`)
	assigned       = regexp.MustCompile(`(?m)^\s*(\w+)\s*=\s*([\w.]+)\(`)
	definition     = regexp.MustCompile(`(?m)^[ \t]*def\s+(\w+)\(([^)]*)\)`)
)

// parts are the attributes whose values have pages of their own.
var parts = map[string]string{
	"context.actions": "actions", "context.client": "client", "context.storage": "storage", "context.error": "error", "context.task_files": "task_files",
}

// given are the pages of what calls give, by the first word of what the stub says.
var given = map[string]string{
	"blueprint": "blueprint", "a": "registration", "job": "job", "database": "database", "logger": "logger", "match": "re.match", "pattern": "re.pattern",
}

// pageOf gives the page of a receiver; nil when it is not known.
func pageOf(text, receiver string) *stub.Page {
	receiver = strings.TrimPrefix(receiver, ".")
	if slices.Contains(analysis.FixedParameters(), receiver) && receiver != "context" { // a parameter is the attribute
		receiver = "context." + receiver
	}
	if page, ok := parts[receiver]; ok {
		return stub.Get(page)
	}
	if store, ok := strings.CutPrefix(receiver, "context.data_stores."); ok && !strings.Contains(store, ".") {
		return stub.Get("data_store")
	}
	for _, m := range makesBlueprint.FindAllStringSubmatch(text, -1) {
		if m[1] == receiver {
			return stub.Get("blueprint")
		}
	}
	for _, m := range assigned.FindAllStringSubmatch(text, -1) {
		if m[1] == receiver {
			if page := pageOfCall(text, m[2]); page != nil {
				return page
			}
		}
	}
	switch receiver { // values that only other pages give, and the pages that are lists of names
	case "", stub.Predeclared, stub.TestNames, "error", "job", "data_store", "registration", "blueprint", "database", "logger":
		return nil
	}
	return stub.Get(receiver)
}

// pageOfCall gives the page of what a call of a chain gives.
func pageOfCall(text, callee string) *stub.Page {
	m := memberOf(text, callee)
	if m == nil || !m.Function {
		return nil
	}
	word := strings.TrimRight(strings.SplitN(m.Returns, " ", 2)[0], ",.:")
	return stub.Get(given[word])
}

// memberOf gives the member that a chain means: json.encode, bp.handler_for, catch; nil when it is not known.
func memberOf(text, chain string) *stub.Member {
	i := strings.LastIndexByte(chain, '.')
	if i < 0 {
		for _, page := range []string{stub.Predeclared, stub.TestNames} {
			if m := stub.Get(page).Member(chain); m != nil {
				return m
			}
		}
		if slices.Contains(analysis.FixedParameters(), chain) {
			return stub.Get("context").Member(chain)
		}
		return nil
	}
	return pageOf(text, chain[:i]).Member(chain[i+1:])
}

// callBefore gives the name that is called where a text ends with a closing bracket: bp.handler_for("a") -> bp.handler_for.
func callBefore(text string, at int) string {
	depth := 0
	for i := at - 1; i >= 0; i-- {
		switch text[i] {
		case ')', ']', '}':
			depth++
		case '(', '[', '{':
			if depth--; depth == 0 {
				return chainBefore(text, i)
			}
		}
	}
	return ""
}

// receiverAt gives the page of what stands before the dot of a chain that ends at a place.
func receiverAt(text, chain string, at int) *stub.Page {
	i := strings.LastIndexByte(chain, '.')
	if i < 0 {
		return nil
	}
	if start := at - len(chain); i == 0 && start > 0 && text[start-1] == ')' {
		return pageOfCall(text, callBefore(text, start))
	}
	return pageOf(text, chain[:i])
}

// universe are the functions of the language itself.
var universe = func() []string {
	names := starlark.Universe.Keys()
	slices.Sort(names)
	return names
}()
