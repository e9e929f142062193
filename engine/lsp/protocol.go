package lsp

// This file holds the parts of the protocol's data that this server uses, under the protocol's names.

type (
	position struct {
		Line      int `json:"line"`      // from 0
		Character int `json:"character"` // from 0, in UTF-16 units
	}
	span struct {
		Start position `json:"start"`
		End   position `json:"end"`
	}
	location struct {
		URI   string `json:"uri"`
		Range span   `json:"range"`
	}
	textDocument struct {
		URI     string `json:"uri"`
		Version int    `json:"version"`
		Text    string `json:"text"`
	}
	// place is the params of most requests; each reads what it needs.
	place struct {
		TextDocument textDocument `json:"textDocument"`
		Position     position     `json:"position"`
		Range        span         `json:"range"`
		NewName      string       `json:"newName"`
		Context      struct {
			IncludeDeclaration bool `json:"includeDeclaration"`
		} `json:"context"`
	}
	change struct {
		TextDocument   textDocument `json:"textDocument"`
		ContentChanges []struct {
			Range *span  `json:"range"`
			Text  string `json:"text"`
		} `json:"contentChanges"`
	}
	diagnostic struct {
		Range    span   `json:"range"`
		Severity int    `json:"severity"` // 1 error, 2 warning, 3 information, 4 hint
		Code     string `json:"code"`
		Source   string `json:"source"`
		Message  string `json:"message"`
	}
	markup struct {
		Kind  string `json:"kind"`
		Value string `json:"value"`
	}
	hover struct {
		Contents markup `json:"contents"`
		Range    *span  `json:"range,omitempty"`
	}
	completionItem struct {
		Label         string  `json:"label"`
		Kind          int     `json:"kind"`
		Detail        string  `json:"detail,omitempty"`
		Documentation *markup `json:"documentation,omitempty"`
		InsertText    string  `json:"insertText,omitempty"`
		SortText      string  `json:"sortText,omitempty"`
	}
	textEdit struct {
		Range   span   `json:"range"`
		NewText string `json:"newText"`
	}
	workspaceEdit struct {
		Changes map[string][]textEdit `json:"changes"`
	}
	symbol struct {
		Name     string   `json:"name"`
		Detail   string   `json:"detail,omitempty"`
		Kind     int      `json:"kind"`
		Range    span     `json:"range"`
		Select   span     `json:"selectionRange"`
		Children []symbol `json:"children,omitempty"`
	}
	command struct {
		Title     string `json:"title"`
		Command   string `json:"command"`
		Arguments []any  `json:"arguments,omitempty"`
	}
	lens struct {
		Range   span    `json:"range"`
		Command command `json:"command"`
	}
)

// Numbers of the protocol.
const (
	itemMethod, itemFunction, itemField, itemModule, itemProperty, itemValue, itemEnum, itemKeyword = 2, 3, 5, 9, 10, 12, 20, 14

	symbolClass, symbolFunction, symbolEvent = 5, 12, 24

	severityError, severityWarning, severityHint = 1, 2, 4
)
