// This file checks the text of .when() conditions. What a condition may be is decided by starlib/when, which runs them; here is where it stands in the file, and what was probably meant.

package analysis

import (
	"errors"
	"regexp"
	"strings"

	"go.starlark.net/syntax"

	"orrery/starlib/when"
)

var conditionName = regexp.MustCompile(`nothing defines the name (\w+)`)

// checkCondition reports what is wrong with a condition; node is where its text comes from.
func (a *analyzer) checkCondition(cond string, node syntax.Node) {
	_, err := when.Compile(cond)
	if err == nil {
		a.checkConditionAttrs(node, cond)
		return
	}
	msg, col, length, suggestion := err.Error(), 1, 1, ""
	var p *when.Problem
	if errors.As(err, &p) {
		msg, col = p.Msg, p.Col
	}
	if m := conditionName.FindStringSubmatch(msg); m != nil {
		length = len([]rune(m[1]))
		if suggestion = didYouMean(m[1], []string{"context"}); containsName(contextAttrs, m[1]) {
			suggestion = "write context." + m[1]
		}
	} else if strings.Contains(msg, "'='") {
		suggestion = "compare with =="
	} else if strings.TrimSpace(cond) == "" {
		suggestion = "leave .when() out for the default handler"
	}
	a.reportInText(node, cond, col, length, "the condition can not be used: "+msg, suggestion)
}

// checkConditionAttrs finds misspelt members of context.
func (a *analyzer) checkConditionAttrs(node syntax.Node, cond string) {
	expr, err := Dialect.ParseExpr("condition", cond, 0)
	if err != nil {
		return // a text over several lines, which only parses within parentheses
	}
	syntax.Walk(expr, func(n syntax.Node) bool {
		dot, ok := n.(*syntax.DotExpr)
		if !ok {
			return true
		}
		if id, ok := dot.X.(*syntax.Ident); ok && id.Name == "context" && !containsName(contextAttrs, dot.Name.Name) {
			a.reportInText(node, cond, int(dot.Name.NamePos.Col), len([]rune(dot.Name.Name)), "context has no "+quote(dot.Name.Name), didYouMean(dot.Name.Name, contextAttrs))
		}
		return true
	})
}

// reportInText reports at a position within a text, as exactly as its literal allows: not within escapes or a text that is computed.
func (a *analyzer) reportInText(node syntax.Node, cond string, col, length int, message, suggestion string) {
	lit, ok := node.(*syntax.Literal)
	if !ok || lit.Value != any(cond) || strings.Contains(lit.Raw, "\\") || strings.Contains(lit.Raw, "\n") {
		a.reportNode(ruleBadCondition, node, message, suggestion)
		return
	}
	prefix := (len(lit.Raw) - len(cond)) / 2
	if strings.HasPrefix(lit.Raw, "r") {
		prefix = (len(lit.Raw)-len(cond)-1)/2 + 1
	}
	at := lit.TokenPos
	at.Col += int32(prefix + col - 1)
	a.reportSpan(ruleBadCondition, at, length, message, suggestion)
}
