package cost

import "lorac/ir"

// Device is what the memory of a process depends on besides its module. The
// zero value is a device without pages, scratch or program: buffers count alone.
type Device struct {
	Page      int                     // bytes of the pages that large buffers come in; 0: as small as buffers are aligned
	SmallPage int                     // bytes of those that smaller ones do
	Scratch   func(z KernelSizes) int // bytes of the kernels' scratch memory; nil: none
	Procs     int                     // processors the program may use
	PerProc   int                     // bytes of the language's runtime for each of them
	Program   int                     // bytes of the program and its runtime otherwise
	PerLayer  int                     // bytes of bookkeeping for each layer of the model
	Start     int                     // bytes of a process that has read its flags, a tokenizer and some data, and done nothing yet
	Slack     int                     // bytes of garbage that a collector may not have reached while data are read, also on a busy machine
}

// PageSize is the unit that activations take memory in.
func (d *Device) PageSize() int {
	if d == nil || d.Page == 0 {
		return ir.Align
	}
	return d.Page
}

// smallPage is what memory comes in that fills no page.
func (d *Device) smallPage() int {
	if d == nil || d.SmallPage == 0 {
		return d.PageSize()
	}
	return min(d.SmallPage, d.PageSize())
}

// KernelSizes are the sizes of a module that the kernels' scratch memory
// follows.
type KernelSizes struct {
	Rows, Widest int   // token rows of a micro-batch, the longest sum of a product
	Supervised   int   // of the rows, those the head reads
	Ranks        []int // of the adapters computed at once
	Hidden       int   // width of the model
	Vocab        int
	Trains       bool // a matrix of the layers, by a product over all rows
	HeadTrains   bool
	HeadSize     int // of attention
	Heads, Share int // of queries, and how many of them share one of keys
	Threads      int
}

// KernelSizesOf reads them off a module, for micro-batches of the extents env
// and a number of threads.
func KernelSizesOf(m *ir.Module, env ir.Env, threads int) KernelSizes {
	z := KernelSizes{Rows: env["T"], Supervised: env["S"], Widest: 1, HeadSize: 1, Heads: 1, Share: 1, Threads: threads}
	most := 0
	for _, s := range m.Storages {
		if s.Kind == ir.Param && s.Type.Rank() == 2 && s.Stack != nil {
			z.Widest = max(z.Widest, s.Type.Shape[0].N, s.Type.Shape[1].N)
		}
	}
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			if s.Op.Name == "attention" {
				z.Heads = s.Attrs.Int("heads")
				z.HeadSize, z.Share = s.Results[0].Type.Shape[1].N/z.Heads, z.Heads/s.Attrs.Int("kv_heads")
			}
			z.Trains = z.Trains || s.Attrs.Str("trans") == "lhs"
			z.HeadTrains = z.HeadTrains || s.Op.Name == "head_loss" && len(s.Args) > 4
			if s.Op.Name == "lora_linear" {
				if here, sum := ranks(s); sum > most {
					z.Ranks, most = here, sum
				}
			}
		}
	}
	z.Vocab, z.Hidden = m.SizeOf("vocab"), m.SizeOf("hidden")
	return z
}

// ranks are those of the adapters that a statement computes at once, and their sum.
func ranks(s *ir.Stmt) (list []int, sum int) {
	g, err := ir.LoRAOf(s)
	if err != nil {
		return nil, 0
	}
	for _, l := range g.Adapters() {
		r := s.Args[l.A].Type().Shape[0].N
		list, sum = append(list, r), sum+r
	}
	return list, sum
}

// scratch is the bytes of the kernels' scratch memory.
func (d *Device) scratch(m *ir.Module, env ir.Env, threads int) int {
	if d.Scratch == nil {
		return 0
	}
	return d.Scratch(KernelSizesOf(m, env, threads))
}
