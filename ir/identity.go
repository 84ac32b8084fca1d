package ir

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
)

// Hash names a module by its text.
func (m *Module) Hash() string { return fmt.Sprintf("%x", sha256.Sum256([]byte(m.String())))[:16] }

// placed is what the text of a module says of places: in the config and in the arena.
var placed = regexp.MustCompile(`(?m) @\d+:\d+$| in (frame|keep|hand)\+\d+`)

// Identity names the graph of a module: sizes, storages and functions. Settings, the
// extents of its micro-batches, places, and the types that the base is stored in are
// no part of it: checkpoints tell those apart by themselves. Of a module that was
// fitted to a limit it is that of the one before, whose setting is hash.
func (m *Module) Identity() string {
	if graph, ok := m.Setting("hash").(string); ok {
		return graph
	}
	m2 := *m
	m2.Name, m2.Source, m2.Settings, m2.Dims = "", "", nil, nil
	m2.Storages = slices.Clone(m.Storages)
	for i, s := range m2.Storages {
		if s.Kind == Param && !s.Trainable {
			s2 := *s
			s2.Type.DType = F32
			m2.Storages[i] = &s2
		}
	}
	return fmt.Sprintf("%x", sha256.Sum256([]byte(placed.ReplaceAllString(m2.String(), ""))))[:16]
}
