package startest

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"orrery/engine/analysis"
)

// This file prints results: for people, as JSON, and as JUnit's XML.

// Text prints a line for each case (verbose) or each file, and every failure in full.
func Text(w io.Writer, r *Result, verbose bool) error {
	var b strings.Builder
	for _, f := range r.Files {
		bad := 0
		var took time.Duration
		for _, c := range f.Cases {
			took += c.Took
			if c.Failure != nil {
				bad++
			}
		}
		switch {
		case f.Fault != nil:
			fmt.Fprintf(&b, "FAIL  %s: can not be run\n", f.Name)
			f.Fault.text(&b, "    ")
		case len(f.Cases) > 0:
			word := "ok  "
			if bad > 0 {
				word = "FAIL"
			}
			fmt.Fprintf(&b, "%s  %s  %s, %s\n", word, f.Name, cases(len(f.Cases)), short3(took))
		}
		for _, c := range f.Cases {
			c.text(&b, verbose)
		}
	}
	passed, failed := r.Counts()
	fmt.Fprintf(&b, "%d passed, %d failed, in %s\n", passed, failed, short3(r.Took))
	_, err := io.WriteString(w, b.String())
	return err
}

func cases(n int) string {
	if n == 1 {
		return "1 case"
	}
	return fmt.Sprintf("%d cases", n)
}

// short3 prints a duration with about three digits.
func short3(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.2f ms", d.Seconds()*1000)
	case d < time.Second:
		return fmt.Sprintf("%.1f ms", d.Seconds()*1000)
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}

func (c *CaseResult) text(b *strings.Builder, verbose bool) {
	if c.Failure == nil && !verbose {
		return
	}
	word := "ok  "
	if c.Failure != nil {
		word = "FAIL"
	}
	fmt.Fprintf(b, "  %s  %s  %s\n", word, c.Name, short3(c.Took))
	for _, line := range c.Output {
		fmt.Fprintf(b, "      | %s\n", line)
	}
	if c.Failure != nil {
		c.Failure.text(b, "      ")
	}
}

// text prints the place, the message, the line of the file and what the job did.
func (f *Failure) text(b *strings.Builder, indent string) {
	at := f.File
	if f.Line > 0 {
		at = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Col)
	}
	put := func(indent, text string) {
		for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
			fmt.Fprintf(b, "%s%s\n", indent, line)
		}
	}
	put(indent, at+": "+f.Message)
	if f.Source != "" {
		put(indent, "in: "+f.Source)
	}
	if f.Timeline != "" {
		put(indent, "the last job:")
		put(indent+"  ", f.Timeline)
	}
}

// CoverageText prints how much of each blueprint the cases took, and what they did not.
func CoverageText(w io.Writer, all []*Coverage) error {
	var b strings.Builder
	taken, parts := 0, 0
	for _, c := range all {
		n, of := c.Share()
		taken, parts = taken+n, parts+of
		states, edges := c.Missing()
		fmt.Fprintf(&b, "%6s  %s: %s, %d of %d states, %d of %d transitions\n", percent(n, of), c.File, c.Graph.Name,
			len(c.Graph.States)-len(states), len(c.Graph.States), len(c.Graph.Edges)-len(edges), len(c.Graph.Edges))
		for _, s := range states {
			fmt.Fprintf(&b, "        not entered: %s\n", s.Name)
		}
		for _, e := range edges {
			fmt.Fprintf(&b, "        not taken:   %s\n", arrow(e))
		}
	}
	fmt.Fprintf(&b, "%6s  of all states and transitions\n", percent(taken, parts))
	_, err := io.WriteString(w, b.String())
	return err
}

func percent(n, of int) string {
	if of == 0 {
		return "100%"
	}
	return fmt.Sprintf("%d%%", n*100/of)
}

// arrow names an edge for people.
func arrow(e *analysis.Edge) string {
	to := e.To
	if e.Dynamic {
		to = "(known when it runs)"
	}
	text := e.From + " -> " + to
	if e.Label != "" {
		text += " [" + e.Label + "]"
	}
	if e.Condition != "" {
		text += " when " + e.Condition
	}
	return text
}

// The JSON of a result. Its names are promises.
type (
	jsonResult struct {
		Passed   int            `json:"passed"`
		Failed   int            `json:"failed"`
		Seconds  float64        `json:"seconds"`
		Files    []jsonFile     `json:"files"`
		Coverage []jsonCoverage `json:"coverage,omitempty"`
	}
	jsonFile struct {
		File  string       `json:"file"`
		Error *jsonFailure `json:"error"`
		Cases []jsonCase   `json:"cases"`
	}
	jsonCase struct {
		Name    string       `json:"name"`
		Passed  bool         `json:"passed"`
		Seconds float64      `json:"seconds"`
		Output  []string     `json:"output"`
		Error   *jsonFailure `json:"error"`
	}
	jsonFailure struct {
		Message  string `json:"message"`
		File     string `json:"file"`
		Line     int    `json:"line"`
		Col      int    `json:"col"`
		Trace    string `json:"trace"`
		Timeline string `json:"timeline"`
	}
	jsonCoverage struct {
		Blueprint string     `json:"blueprint"`
		File      string     `json:"file"`
		Taken     int        `json:"taken"`
		Of        int        `json:"of"`
		States    []string   `json:"states_not_entered"`
		Edges     []jsonEdge `json:"transitions_not_taken"`
	}
	jsonEdge struct {
		From      string `json:"from"`
		To        string `json:"to"`
		Label     string `json:"label"`
		Condition string `json:"condition"`
	}
)

// JSON prints a result as one object; coverage may be nil.
func JSON(w io.Writer, r *Result, coverage []*Coverage) error {
	out := jsonResult{Seconds: r.Took.Seconds(), Files: []jsonFile{}}
	out.Passed, out.Failed = r.Counts()
	for _, f := range r.Files {
		file := jsonFile{File: f.Name, Error: f.Fault.json(), Cases: []jsonCase{}}
		for _, c := range f.Cases {
			lines := c.Output
			if lines == nil {
				lines = []string{}
			}
			file.Cases = append(file.Cases, jsonCase{c.Name, c.Failure == nil, c.Took.Seconds(), lines, c.Failure.json()})
		}
		out.Files = append(out.Files, file)
	}
	for _, c := range coverage {
		entry := jsonCoverage{Blueprint: c.Graph.Name, File: c.File, States: []string{}, Edges: []jsonEdge{}}
		entry.Taken, entry.Of = c.Share()
		states, edges := c.Missing()
		for _, s := range states {
			entry.States = append(entry.States, s.Name)
		}
		for _, e := range edges {
			entry.Edges = append(entry.Edges, jsonEdge{e.From, e.To, e.Label, e.Condition})
		}
		out.Coverage = append(out.Coverage, entry)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(out)
}

func (f *Failure) json() *jsonFailure {
	if f == nil {
		return nil
	}
	return &jsonFailure{f.Message, f.File, f.Line, f.Col, f.Trace, f.Timeline}
}

// The part of JUnit's XML that build servers read.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
		Error   *junitFailure `xml:"error,omitempty"`
		Output  string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// JUnit prints a result as build servers read it.
func JUnit(w io.Writer, r *Result) error {
	passed, failed := r.Counts()
	out := junitSuites{Tests: passed + failed, Failures: failed, Time: secs(r.Took)}
	for _, f := range r.Files {
		suite := junitSuite{Name: f.Name, Tests: len(f.Cases)}
		if f.Fault != nil { // a suite without cases would look like a good one
			suite.Tests, suite.Errors = 1, 1
			suite.Cases = []junitCase{{Name: "load", Class: f.Name, File: f.Name, Line: f.Fault.Line, Time: "0", Error: f.Fault.junit()}}
		}
		var took time.Duration
		for _, c := range f.Cases {
			took += c.Took
			if c.Failure != nil {
				suite.Failures++
			}
			suite.Cases = append(suite.Cases, junitCase{Name: c.Name, Class: f.Name, File: c.File, Line: c.Line, Time: secs(c.Took),
				Failure: c.Failure.junit(), Output: strings.Join(c.Output, "\n")})
		}
		suite.Time = secs(took)
		out.Suites = append(out.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(out); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func secs(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }

func (f *Failure) junit() *junitFailure {
	if f == nil {
		return nil
	}
	var b strings.Builder
	f.text(&b, "")
	message, _, _ := strings.Cut(f.Message, "\n")
	return &junitFailure{Message: message, Text: b.String()}
}
