// Package lsp is the language server: what an editor asks about blueprint files, and the answers, over the Language Server Protocol on two streams.
//
// Its words: a *document* is a file as the editor has it, saved or not. The *workspace* is the folder that // means, with the open documents laid over its files. A *cursor* is what the text says about
// one place, read with a small scanner, because a text that is being written seldom parses.
//
// All knowledge comes from elsewhere: findings, graphs and places from engine/analysis, the reference from starlib/stub, the form from engine/starfmt, pictures from engine/draw. The server answers
// one message after another; the analysis runs when no further message waits, so that typing is never slowed down by it.
package lsp
