package ir

import (
	"crypto/sha256"
	"fmt"
	"slices"
)

// Hash names a module by its text.
func (m *Module) Hash() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(m.String())))[:16] }

// Identity names the job of a module: what it was before it was fitted to data
// or a limit, whose setting is hash. What a run takes is no part of it.
func (m *Module) Identity() string {
	if job, ok := m.Setting("hash").(string); ok {
		return job
	}
	m2 := *m
	m2.Settings = slices.DeleteFunc(slices.Clone(m.Settings), func(s *Setting) bool {
		return s.Key == "memory.resident" || s.Key == "memory.thread"
	})
	return m2.Hash()
}
