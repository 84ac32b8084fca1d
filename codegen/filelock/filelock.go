// Package filelock has one process at a time do what others must not do beside it. Where
// the standard library can lock files, no module is needed: that for all systems
// brings golang.org/x/sys, which is long to download and to compile.
package filelock
