// This file checks the text of .when() conditions: that it is an expression and reads nothing but context.

package analysis

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// conditionNames are the names that a condition may use beside those of Starlark itself.
var conditionNames = []string{"context", "true", "false", "has"}

// checkCondition reports what is wrong with a condition; node is where its text comes from.
func (a *analyzer) checkCondition(cond string, node syntax.Node) {
	expr, err := Dialect.ParseExpr("condition", cond, 0)
	if err != nil {
		var se syntax.Error
		msg, pos := err.Error(), syntax.Position{Line: 1, Col: 1}
		if errors.As(err, &se) {
			msg, pos = se.Msg, se.Pos
		}
		suggestion := ""
		if strings.Contains(msg, "'='") {
			suggestion = "compare with =="
		} else if strings.TrimSpace(cond) == "" {
			msg, suggestion = "the condition is empty", "leave .when() out for the default handler"
		}
		a.reportInText(node, cond, pos, 1, "the condition does not parse: "+msg, suggestion)
		return
	}
	isKnown := func(name string) bool { return containsName(conditionNames, name) }
	_, err = resolve.ExprOptions(Dialect, expr, isKnown, isUniversal)
	var list resolve.ErrorList
	if errors.As(err, &list) {
		for _, e := range list {
			a.conditionError(node, cond, e)
		}
	}
	a.checkConditionAttrs(node, cond, expr)
}

func (a *analyzer) conditionError(node syntax.Node, cond string, e resolve.Error) {
	m := undefinedName.FindStringSubmatch(e.Msg)
	if m == nil {
		a.reportInText(node, cond, e.Pos, 1, "the condition does not parse: "+e.Msg, "")
		return
	}
	suggestion := didYouMean(m[1], conditionNames)
	if containsName(contextAttrs, m[1]) {
		suggestion = "write context." + m[1]
	}
	a.reportInText(node, cond, e.Pos, len([]rune(m[1])), fmt.Sprintf("a condition reads nothing but context, so it does not know %s", quote(m[1])), suggestion)
}

// checkConditionAttrs finds misspelt members of context.
func (a *analyzer) checkConditionAttrs(node syntax.Node, cond string, expr syntax.Expr) {
	syntax.Walk(expr, func(n syntax.Node) bool {
		dot, ok := n.(*syntax.DotExpr)
		if !ok {
			return true
		}
		if id, ok := dot.X.(*syntax.Ident); ok && id.Name == "context" && !containsName(contextAttrs, dot.Name.Name) {
			a.reportInText(node, cond, dot.Name.NamePos, len([]rune(dot.Name.Name)), "context has no "+quote(dot.Name.Name), didYouMean(dot.Name.Name, contextAttrs))
		}
		return true
	})
}

// reportInText reports at a position within a text, as exactly as its literal allows: not within escapes or a text that is computed.
func (a *analyzer) reportInText(node syntax.Node, cond string, pos syntax.Position, length int, message, suggestion string) {
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
	at.Col += int32(prefix) + pos.Col - 1
	a.reportSpan(ruleBadCondition, at, length, message, suggestion)
}
