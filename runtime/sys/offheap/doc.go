// Package offheap reserves memory outside Go's heap. It occupies physical pages
// only where it is touched, so that a process can be planned to the byte. It
// must not know what the memory is for.
package offheap
