package starlib

import "strings"

// This file tells the language's own errors apart: catch gives them the names that they have
// in Python. The interpreter gives texts only, so its texts are what is looked at; a test
// makes each of these errors, so that a new wording is noticed.

// languageKinds are parts of the interpreter's messages with the kind that each means, the
// first that fits counts.
var languageKinds = []struct{ part, kind string }{
	{" not in dict", "KeyError"},
	{"missing key", "KeyError"},
	{"popitem: empty dict", "KeyError"},
	{"pop: empty set", "KeyError"},
	{"division by zero", "ZeroDivisionError"},
	{"modulo by zero", "ZeroDivisionError"},
	{"out of range", "IndexError"},
	{"pop: index", "IndexError"},
	{"invalid literal", "ValueError"},
	{"invalid float literal", "ValueError"},
	{"invalid syntax", "ValueError"},
	{"not valid JSON", "ValueError"},
	{"substring not found", "ValueError"},
	{"value not in list", "ValueError"},
	{"element not found", "ValueError"},
	{"not in list", "ValueError"},
	{"empty sequence", "ValueError"},
	{"empty separator", "ValueError"},
	{"must not be zero", "ValueError"},
	{"format specification", "ValueError"},
	{"has no format", "ValueError"},
	{"text takes fill", "ValueError"},
	{"too many values to unpack", "ValueError"},
	{"too few values to unpack", "ValueError"},
	{"no power that is not whole", "ValueError"},
	{"has no .", "AttributeError"},
	{"unknown binary op", "TypeError"},
	{"unknown unary op", "TypeError"},
	{"not implemented", "TypeError"}, // what the interpreter says of < between two kinds
	{"unhandled index operation", "TypeError"},
	{"not iterable", "TypeError"},
	{"unhashable", "TypeError"},
	{"invalid call of non-function", "TypeError"},
	{"want string", "TypeError"},
	{"want iterable", "TypeError"},
	{"got string, want", "TypeError"},
	{"missing argument", "TypeError"},
	{"missing 1 argument", "TypeError"},
	{"unexpected keyword argument", "TypeError"},
	{"accepts at most", "TypeError"},
	{"accepts no arguments", "TypeError"},
	{"accepts 1 positional", "TypeError"},
	{"has no len", "TypeError"},
	{"cannot convert", "TypeError"},
	{"want number", "TypeError"},
	{"want int", "TypeError"},
	{"requires integer", "TypeError"},
	{"requires string", "TypeError"},
	{"arguments for format", "TypeError"},
	{"sum adds numbers", "TypeError"},
	{"must be an int or a float", "TypeError"},
	{"must be numbers", "TypeError"},
	{"local variable", "NameError"},
}

// maxKindText bounds the messages that are looked through, in bytes: what the language says is
// short, unless a script's text is quoted in it.
const maxKindText = 64 << 10

// languageKind gives the kind of an error that the interpreter or a builtin raised.
func languageKind(message string) string {
	if strings.HasPrefix(message, "fail: ") || len(message) > maxKindText { // the script's own words
		return KindError
	}
	for _, k := range languageKinds {
		if strings.Contains(message, k.part) {
			return k.kind
		}
	}
	return KindError
}
