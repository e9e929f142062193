// Package config turns flags, environment, orrery.toml and defaults into one checked Config.
//
// Words:
//
//   - A setting has one name, that of its environment variable. The same name in lower
//     case is its key in orrery.toml, and with dashes its flag on the command line.
//   - A fault is one thing that stops the start: its name, what is wrong, an example.
//     Load gathers all of them, so that nobody has to start five times to find five.
//   - A warning does not stop the start: a variable without meaning here.
//
// Precedence is flags, then environment, then orrery.toml, then defaults. The clients and
// workers that may come in are read from their own files, clients.toml and workers.toml.
// Secrets have a type that does not print.
package config
