package stub

import (
	"embed"
	"fmt"
	"slices"
	"strings"
	"sync"

	"go.starlark.net/syntax"
)

// This file reads the stubs.

//go:embed *.star
var files embed.FS

// The kinds of functions: when what they do happens.
const (
	Describes = "describes" // nothing happens before the step's commit
	Reads     = "reads"     // now
	Acts      = "acts"      // now, at least once
	Pure      = "pure"      // nothing outside the handler
	Declares  = "declares"  // while the file is loaded
	Test      = "test"      // in test files only
)

// Page is one module or value.
type Page struct {
	Name    string // of the file: "actions", "re.match"; Predeclared for the names without a module
	Doc     string
	Members []*Member // in the order of the file
}

// The pages that are no modules of their own name.
const (
	Predeclared = "predeclared"
	TestNames   = "test"
)

// Member is a function or an attribute.
type Member struct {
	Page     string
	Name     string
	Function bool
	Type     string // of an attribute
	Summary  string // its first sentences
	Kind     string // of a function
	Params   []Param
	Returns  string
	Errors   string
	Example  string // lines of a handler, or a whole file
}

// Param is a parameter. Name has its stars.
type Param struct {
	Name, Type, Doc, Default string // Default "" when it must be given
}

// Signature is how a function is called, on one line.
func (m *Member) Signature() string {
	if !m.Function {
		return m.Name + ": " + m.Type
	}
	parts := make([]string, len(m.Params))
	for i, p := range m.Params {
		parts[i] = p.Name
		if p.Default != "" {
			parts[i] += " = " + p.Default
		}
	}
	return m.Name + "(" + strings.Join(parts, ", ") + ")"
}

// Keywords are the names of the parameters, without stars.
func (m *Member) Keywords() []string {
	var names []string
	for _, p := range m.Params {
		if !strings.HasPrefix(p.Name, "*") {
			names = append(names, p.Name)
		}
	}
	return names
}

// Required counts the parameters that must be given.
func (m *Member) Required() (n int) {
	for _, p := range m.Params {
		if p.Default == "" && !strings.HasPrefix(p.Name, "*") {
			n++
		}
	}
	return n
}

// Open reports whether further keywords are taken.
func (m *Member) Open() bool {
	return slices.ContainsFunc(m.Params, func(p Param) bool { return strings.HasPrefix(p.Name, "**") })
}

// Member gives a member by its name, or nil.
func (p *Page) Member(name string) *Member {
	if p == nil {
		return nil
	}
	for _, m := range p.Members {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Names lists the members.
func (p *Page) Names() []string {
	if p == nil {
		return nil
	}
	names := make([]string, len(p.Members))
	for i, m := range p.Members {
		names[i] = m.Name
	}
	return names
}

var pages = sync.OnceValue(func() map[string]*Page {
	all := map[string]*Page{}
	entries, err := files.ReadDir(".")
	if err != nil {
		panic(err) // the files are part of the program
	}
	for _, e := range entries {
		text, err := files.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		name := strings.TrimSuffix(e.Name(), ".star")
		page, err := parse(name, text)
		if err != nil {
			panic(fmt.Sprintf("the stub %s: %v", e.Name(), err)) // a test reads them all
		}
		all[name] = page
	}
	return all
})

// All gives the pages in the order of their names.
func All() []*Page {
	var list []*Page
	for _, p := range pages() {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b *Page) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Get gives a page, or nil.
func Get(name string) *Page { return pages()[name] }

// Find gives what a name means: a page ("json"), a member ("json.encode"), a predeclared name ("catch") or one of test files ("run"). Both are nil when there is none.
func Find(name string) (*Page, *Member) {
	if p := Get(name); p != nil {
		return p, nil
	}
	if i := strings.LastIndexByte(name, '.'); i > 0 {
		p := Get(name[:i])
		return p, p.Member(name[i+1:])
	}
	for _, page := range []string{Predeclared, TestNames} {
		if m := Get(page).Member(name); m != nil {
			return Get(page), m
		}
	}
	return nil, nil
}

// Search lists the full names of members with that last name, for a suggestion.
func Search(name string) (full []string) {
	for _, p := range All() {
		for _, m := range p.Members {
			if m.Name == name {
				full = append(full, m.Full())
			}
		}
	}
	return full
}

// Full is the name under which Find knows the member.
func (m *Member) Full() string {
	if m.Page == Predeclared || m.Page == TestNames {
		return m.Name
	}
	return m.Page + "." + m.Name
}

// parse reads one stub.
func parse(name string, text []byte) (*Page, error) {
	tree, err := (&syntax.FileOptions{}).Parse(name+".star", text, 0)
	if err != nil {
		return nil, err
	}
	page := &Page{Name: name}
	for _, stmt := range tree.Stmts {
		switch s := stmt.(type) {
		case *syntax.ExprStmt:
			doc, ok := docOf(s)
			switch {
			case !ok:
				return nil, fmt.Errorf("line %d is no docstring", syntax.Start(s).Line)
			case len(page.Members) == 0:
				page.Doc = doc
			default:
				page.Members[len(page.Members)-1].Summary = doc
			}
		case *syntax.AssignStmt:
			id, ok := s.LHS.(*syntax.Ident)
			kind, isText := s.RHS.(*syntax.Literal)
			if !ok || !isText {
				return nil, fmt.Errorf("line %d: an attribute is NAME = \"type\"", syntax.Start(s).Line)
			}
			page.Members = append(page.Members, &Member{Page: name, Name: id.Name, Type: fmt.Sprint(kind.Value)})
		case *syntax.DefStmt:
			m, err := parseFunction(name, s)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", s.Name.Name, err)
			}
			page.Members = append(page.Members, m)
		default:
			return nil, fmt.Errorf("line %d: a stub has functions and attributes only", syntax.Start(s).Line)
		}
	}
	if page.Doc == "" {
		return nil, fmt.Errorf("no docstring at its beginning")
	}
	return page, nil
}

func docOf(s syntax.Stmt) (string, bool) {
	e, ok := s.(*syntax.ExprStmt)
	if !ok {
		return "", false
	}
	lit, ok := e.X.(*syntax.Literal)
	if !ok {
		return "", false
	}
	doc, ok := lit.Value.(string)
	return doc, ok
}

// parseFunction reads a def with its docstring.
func parseFunction(page string, def *syntax.DefStmt) (*Member, error) {
	m := &Member{Page: page, Name: def.Name.Name, Function: true}
	doc, ok := docOf(def.Body[0])
	if !ok {
		return nil, fmt.Errorf("no docstring")
	}
	docs := m.readDoc(doc)
	for _, p := range def.Params {
		m.Params = append(m.Params, param(p))
	}
	for i := range m.Params {
		d, ok := docs[m.Params[i].Name]
		if !ok {
			return nil, fmt.Errorf("its Args do not speak of %s", m.Params[i].Name)
		}
		delete(docs, m.Params[i].Name)
		m.Params[i].Type, m.Params[i].Doc = d.Type, d.Doc
	}
	for name := range docs {
		return nil, fmt.Errorf("its Args speak of %s, which is no parameter", name)
	}
	if m.Summary == "" || m.Kind == "" || m.Returns == "" || m.Errors == "" {
		return nil, fmt.Errorf("a summary, Kind, Returns or Errors is missing")
	}
	return m, nil
}

func param(p syntax.Expr) Param {
	switch p := p.(type) {
	case *syntax.Ident:
		return Param{Name: p.Name}
	case *syntax.UnaryExpr:
		return Param{Name: p.Op.String() + p.X.(*syntax.Ident).Name}
	case *syntax.BinaryExpr:
		return Param{Name: p.X.(*syntax.Ident).Name, Default: show(p.Y)}
	}
	return Param{}
}

// show prints the simple expressions that defaults are.
func show(e syntax.Expr) string {
	switch e := e.(type) {
	case *syntax.Literal:
		return e.Raw
	case *syntax.Ident:
		return e.Name
	case *syntax.DictExpr:
		return "{}"
	case *syntax.ListExpr:
		return "[]"
	}
	return "..."
}

// readDoc takes a docstring apart and gives what it says of parameters.
func (m *Member) readDoc(doc string) map[string]Param {
	params := map[string]Param{}
	part := ""
	var summary, example []string
	for line := range strings.SplitSeq(doc, "\n") {
		body := strings.TrimSpace(line)
		word, rest, _ := strings.Cut(body, ":")
		if strings.HasPrefix(line, "    ") && !strings.HasPrefix(line, "     ") {
			switch word {
			case "Kind":
				m.Kind, part = strings.TrimSpace(rest), ""
				continue
			case "Returns":
				m.Returns, part = strings.TrimSpace(rest), ""
				continue
			case "Errors":
				m.Errors, part = strings.TrimSpace(rest), ""
				continue
			case "Args", "Example":
				part = word
				continue
			}
		}
		switch {
		case part == "Example":
			example = append(example, strings.TrimPrefix(line, "        "))
		case part == "Args" && body != "":
			name, kind, typed := strings.Cut(word, " (")
			p := Param{Doc: strings.TrimSpace(rest)}
			if typed {
				p.Type = strings.TrimSuffix(kind, ")")
			}
			params[name] = p
		case m.Kind == "" && body != "":
			summary = append(summary, body)
		}
	}
	m.Summary = strings.Join(summary, " ")
	m.Example = strings.TrimRight(strings.Join(example, "\n"), " \n")
	return params
}
