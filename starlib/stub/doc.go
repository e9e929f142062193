// Package stub is the one description of everything that scripts can call: names, parameters, what they mean, what can go wrong, an example. Editors, `orrery docs` and the static analysis read it, and tests hold it equal to the real members and run every example.
//
// Its words: a *page* is one file of this folder, about a module (json), a value (context) or the predeclared names. A *member* is one function or attribute of it. The files are Starlark without bodies:
// a function's docstring has, after its summary, the parts Kind, Args, Returns, Errors and Example; an attribute is NAME = "type" with a docstring below.
package stub
