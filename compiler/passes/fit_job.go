package passes

import (
	"slices"

	"lorac/ir"
)

// fitJob bounds the dimensions by the largest micro-batches of the data and
// states the memory limit. The job keeps the name it had before, so that a run
// may resume with other data or another limit:
//
//	dim T <= 4096      dim T <= 1187
//	dim S <= T     →   dim S <= 644
//	dim N <= T         dim N <= 2
func fitJob(m *ir.Module, o *Options) int {
	n := 0
	if o.Facts.Dims != nil {
		for _, d := range m.Dims {
			d.Max = ir.N(o.Facts.Dims[d.Name])
			n++
		}
	}
	if l := o.Facts.Limit; l != nil {
		set(m, "memory.limit", l.Bytes)
		set(m, "memory.base", l.Base)
		set(m, "memory.keep", l.Keep)
		n++
	}
	if o.Facts.Job != "" {
		set(m, "hash", o.Facts.Job)
	}
	return n
}

// knowsJob reports whether the data or a limit of the job are known.
func knowsJob(_ *ir.Module, o *Options) bool { return o.Facts.Dims != nil || o.Facts.Limit != nil }

// set gives a setting a value.
func set(m *ir.Module, key string, v any) {
	if i := slices.IndexFunc(m.Settings, func(s *ir.Setting) bool { return s.Key == key }); i >= 0 {
		m.Settings[i].Val = v
		return
	}
	m.Settings = append(m.Settings, &ir.Setting{Key: key, Val: v})
}

func unset(m *ir.Module, key string) {
	m.Settings = slices.DeleteFunc(m.Settings, func(s *ir.Setting) bool { return s.Key == key })
}
