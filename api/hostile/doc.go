// Package hostile has only tests: they attack a whole server from outside, as strangers,
// clients and workers that mean no good, and look whether it stays up, small and silent.
//
// Words:
//
//   - A server is a process of its own, the program as it is shipped, so that its memory is
//     measured apart from the attackers'. The rights are tested on a server inside the test,
//     because their matrix is made from the table of routes.
//   - A good client asks all the while: an attack has failed only when it keeps its answers.
//   - A canary is a secret that stands nowhere else, so that finding it is finding a leak.
//
// With ORRERY_LONG=1 the overload lasts a minute instead of seconds.
package hostile
