package passes

import "lorac/ir"

// Memory is what a program of the module takes, in bytes, with every dimension
// at its greatest. It needs placed values.
type Memory struct {
	Storages []Group
	Entries  []Arena
	Arena    int // the largest of the entries: they take turns
	Total    int // storages and arena
}

// Group is memory of one kind, and what it consists of.
type Group struct {
	Name    string
	Bytes   int
	Buffers []Buffer
}

// Buffer is one tensor, or Count of them.
type Buffer struct {
	Name  string // with its sigil
	Type  ir.Type
	Count int
	Bytes int // of all
}

// Arena is the memory one entry function works in.
type Arena struct {
	Entry  string
	Groups []Group // the records of the functions it repeats, its own frame, the frames of those it calls
	Bytes  int
}

// Footprint measures the module.
func Footprint(m *ir.Module) Memory {
	env := m.MaxEnv()
	out := Memory{Storages: storageGroups(m, env)}
	for _, g := range out.Storages {
		out.Total += g.Bytes
	}
	for _, f := range m.Funcs {
		if f.Entry {
			a := arena(m, f, env)
			out.Entries = append(out.Entries, a)
			out.Arena = max(out.Arena, a.Bytes)
		}
	}
	out.Total += out.Arena
	return out
}

// storageGroups sorts the storages by what they are for.
func storageGroups(m *ir.Module, env ir.Env) []Group {
	names := []string{"frozen weights", "trainable weights", "gradients", "optimizer states", "tables"}
	groups := make([]Group, len(names))
	for i, n := range names {
		groups[i].Name = n
	}
	for _, s := range m.Storages {
		if s.Kind == ir.Cache {
			continue // prediction's alone, made where a text is generated
		}
		i := map[ir.StorageKind]int{ir.Param: 0, ir.Grad: 2, ir.State: 3, ir.Table: 4}[s.Kind]
		if s.Trainable {
			i = 1
		}
		groups[i].add(Buffer{"$" + s.Name, s.Type, s.Count(), s.Count() * s.Type.Bytes(env)})
	}
	return groups
}

func (g *Group) add(b Buffer) {
	g.Buffers = append(g.Buffers, b)
	g.Bytes += b.Bytes
}

// arena follows the layout of one entry function.
func arena(m *ir.Module, f *ir.Func, env ir.Env) Arena {
	l := m.Layout(f)
	a := Arena{Entry: f.Name, Bytes: l.Size}
	for _, r := range l.Records {
		name := "handed on by " + r.Func.Name
		if r.Lo >= 0 {
			name = "kept by " + r.Func.Name
		}
		g := Group{Name: name, Bytes: r.Stride * r.Count}
		g.Buffers = buffers(r.Func, "keep", r.Count, env)
		if r.After < 0 || r.HandStride > 0 { // else the memory is that of the repeat before
			a.Groups = append(a.Groups, g)
		}
		if r.After < 0 && r.HandStride > 0 {
			a.Groups = append(a.Groups, Group{"handed on by " + r.Func.Name, r.HandStride * r.HandCount, buffers(r.Func, "hand", r.HandCount, env)})
		}
	}
	a.Groups = append(a.Groups, Group{"frame of " + f.Name, l.Callee - l.Frame, buffers(f, "frame", 1, env)})
	seen := map[*ir.Func]bool{}
	called := Group{Name: "frames of what it repeats", Bytes: l.Size - l.Callee}
	for _, s := range f.Body {
		if s.Callee != nil && !seen[s.Callee] {
			seen[s.Callee] = true
			called.Buffers = append(called.Buffers, buffers(s.Callee, "frame", 1, env)...)
		}
	}
	a.Groups = append(a.Groups, called)
	return a
}

// buffers lists the values of a function in one region; in a frame they share
// memory, so that their sum is more than the frame.
func buffers(f *ir.Func, region string, count int, env ir.Env) []Buffer {
	var out []Buffer
	f.EachValue(func(v *ir.Value) {
		if v.Place != nil && v.Place.Region == region {
			out = append(out, Buffer{"%" + v.Name, v.Type, count, count * v.Type.Bytes(env)})
		}
	})
	return out
}
