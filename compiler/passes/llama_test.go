package passes

import (
	"fmt"
	"strings"
)

// spec describes a small llama to test with, in the form the model builder
// gives it.
type spec struct {
	layers, heads, kvHeads int
	targets                string // leaf names: "wq wv"; "" none
	dropout                float64
	full, tied, concat     bool
	frozenA                bool // only the B halves train
	from                   int  // layers below train nothing (freeze patterns): a segment of their own

	dim, hd, ffn, vocab, rank, rows int // 0: tiny
}

// llama is the text of the module of a spec.
func llama(s spec) string {
	if s.heads == 0 {
		s.heads, s.kvHeads = 2, 1
	}
	if s.dim == 0 {
		s.dim, s.hd, s.ffn, s.vocab, s.rank, s.rows = 8, 4, 12, 11, 2, 8
	}
	w := &writer{spec: s}
	w.pf("module tiny from \"tiny.yaml\"\n\nsetting batch_size = 2 @1:1\nsetting size.rank = %d @1:1\n\ndim T <= %d @2:1\ndim S <= T @2:1\ndim N <= T @2:1\n\n", s.rank, s.rows)
	segs := []segment{{"layer", 0, s.layers - 1, true}}
	if s.from > 0 {
		segs = []segment{{"layer.low", 0, s.from - 1, false}, {"layer.high", s.from, s.layers - 1, true}}
	}
	w.storages(segs)
	if s.dropout > 0 {
		for _, g := range segs {
			w.layer(g, ".eval", false)
		}
	}
	for _, g := range segs {
		w.layer(g, "", s.dropout > 0)
	}
	if s.dropout > 0 {
		w.root("train", segs, "", true)
		w.root("loss", segs, ".eval", true)
		w.root("logits", segs, ".eval", false)
	} else {
		w.root("loss", segs, "", true)
		w.root("logits", segs, "", false)
	}
	w.update()
	return w.b.String()
}

type segment struct {
	name   string
	lo, hi int
	trains bool
}

type writer struct {
	spec
	b      strings.Builder
	params []string // trainable, in order
}

func (w *writer) pf(format string, args ...any) { fmt.Fprintf(&w.b, format, args...) }

func (w *writer) adapted(leaf string) bool {
	for _, t := range strings.Fields(w.targets) {
		if t == leaf {
			return true
		}
	}
	return false
}

func (w *writer) linears() [][3]any {
	q, kv := w.heads*w.hd, w.kvHeads*w.hd
	if w.concat {
		return [][3]any{{"w_qkv", q + 2*kv, w.dim}, {"wo", w.dim, q}, {"w_gate_hidden", 2 * w.ffn, w.dim}, {"w2", w.dim, w.ffn}}
	}
	return [][3]any{{"wq", q, w.dim}, {"wk", kv, w.dim}, {"wv", kv, w.dim}, {"wo", w.dim, q}, {"w1", w.ffn, w.dim}, {"w2", w.dim, w.ffn}, {"w3", w.ffn, w.dim}}
}

func (w *writer) param(name, stack, shape string, trains bool) {
	word := "frozen"
	if trains {
		word = "trainable"
		w.params = append(w.params, name+" "+stack+" "+shape)
	}
	w.pf("param $%s%s : f32[%s] %s @3:1\n", name, stack, shape, word)
}

func (w *writer) storages(segs []segment) {
	w.param("embed", "", fmt.Sprintf("%d,%d", w.vocab, w.dim), w.full)
	for _, g := range segs {
		stack := fmt.Sprintf("[%d..%d]", g.lo, g.hi)
		if g.lo == g.hi {
			stack = fmt.Sprintf("[%d]", g.lo)
		}
		for _, n := range []string{"norm1", "norm2"} {
			w.param(g.name+"."+n, stack, fmt.Sprint(w.dim), w.full)
		}
		for _, l := range w.linears() {
			leaf := g.name + "." + l[0].(string)
			w.param(leaf+".w", stack, fmt.Sprintf("%d,%d", l[1], l[2]), w.full)
			if w.adapted(l[0].(string)) {
				w.param(leaf+".a", stack, fmt.Sprintf("%d,%d", w.rank, l[2]), g.trains && !w.frozenA)
				w.param(leaf+".b", stack, fmt.Sprintf("%d,%d", l[1], w.rank), g.trains)
			}
		}
	}
	w.param("norm", "", fmt.Sprint(w.dim), w.full)
	if !w.tied {
		w.param("head", "", fmt.Sprintf("%d,%d", w.vocab, w.dim), w.full)
	}
	w.pf("table $rope.cos : f32[%d,%d] @4:1\ntable $rope.sin : f32[%d,%d] @4:1\n", w.rows, w.hd/2, w.rows, w.hd/2)
	for _, p := range w.params {
		f := strings.Split(p, " ")
		w.pf("grad $%s.grad%s : f32[%s] {of=%s} @3:1\nstate $%s.m%s : f32[%s] {of=%s} @3:1\nstate $%s.v%s : f32[%s] {of=%s} @3:1\n",
			f[0], f[1], f[2], f[0], f[0], f[1], f[2], f[0], f[0], f[1], f[2], f[0])
	}
}

func (w *writer) linear(seg, leaf, name, x string, out int, stream int, drop bool) {
	mat := func(to, from, storage, group string, cols int) {
		w.pf("  %%%s = matmul %%%s, $%s.%s {group=%s, trans=rhs} : f32[T,%d] @5:1\n", to, from, seg, storage, group, cols)
	}
	if !w.adapted(leaf) {
		mat(name, x, leaf+".w", "linear", out)
		return
	}
	mat(name+".base", x, leaf+".w", "linear", out)
	if drop {
		cols := w.dim
		switch leaf {
		case "wo":
			cols = w.heads * w.hd
		case "w2":
			cols = w.ffn
		}
		w.pf("  %%%s.drop = dropout %%%s, %%keys, %%i {p=%g, stream=%d} : f32[T,%d] @6:1\n", name, x, w.dropout, stream, cols)
		x = name + ".drop"
	}
	mat(name+".xa", x, leaf+".a", "lora", w.rank)
	mat(name+".xab", name+".xa", leaf+".b", "lora", out)
	w.pf("  %%%s.delta = scale %%%s.xab {by=2.0} : f32[T,%d] @7:1\n", name, name, out)
	w.pf("  %%%s = add %%%s.base, %%%s.delta : f32[T,%d] @8:1\n", name, name, name, out)
}

func (w *writer) layer(g segment, kind string, drop bool) {
	q, kv := w.heads*w.hd, w.kvHeads*w.hd
	keys := ""
	if drop {
		keys = ", %keys: i64[T]"
	}
	w.pf("\nfunc %s%s.forward[%%i](%%x: f32[T,%d], %%pos: i32[T], %%starts: i32[N]%s) -> (%%out) {\n", g.name, kind, w.dim, keys)
	norm := func(n, x string) {
		w.pf("  %%norm%s, %%rstd%s = rmsnorm %%%s, $%s.norm%s {eps=1e-05} : f32[T,%d], f32[T] @9:1\n", n, n, x, g.name, n, w.dim)
	}
	norm("1", "x")
	if w.concat {
		w.linear(g.name, "w_qkv", "qkv", "norm1", q+2*kv, 0, drop)
		w.pf("  %%q, %%k, %%v = split_cols %%qkv {widths=[%d, %d, %d]} : f32[T,%d], f32[T,%d], f32[T,%d] @9:2\n", q, kv, kv, q, kv, kv)
	} else {
		w.linear(g.name, "wq", "q", "norm1", q, 0, drop)
		w.linear(g.name, "wk", "k", "norm1", kv, 1, drop)
		w.linear(g.name, "wv", "v", "norm1", kv, 2, drop)
	}
	for _, n := range []struct {
		name string
		cols int
	}{{"q", q}, {"k", kv}} {
		w.pf("  %%%s.rope = rope %%%s, %%pos, $rope.cos, $rope.sin {head_dim=%d} : f32[T,%d] @10:1\n", n.name, n.name, w.hd, n.cols)
	}
	w.pf("  %%o, %%lse = attention %%q.rope, %%k.rope, %%v, %%starts {heads=%d, kv_heads=%d, scale=0.5} : f32[T,%d], f32[T,%d] @11:1\n", w.heads, w.kvHeads, q, w.heads)
	w.linear(g.name, "wo", "attn", "o", w.dim, 3, drop)
	w.pf("  %%mid = add %%x, %%attn : f32[T,%d] @12:1\n", w.dim)
	norm("2", "mid")
	if w.concat {
		w.linear(g.name, "w_gate_hidden", "gate_up", "norm2", 2*w.ffn, 4, drop)
		w.pf("  %%gate, %%up = split_cols %%gate_up {widths=[%d, %d]} : f32[T,%d], f32[T,%d] @12:2\n", w.ffn, w.ffn, w.ffn, w.ffn)
	} else {
		w.linear(g.name, "w1", "gate", "norm2", w.ffn, 4, drop)
		w.linear(g.name, "w3", "up", "norm2", w.ffn, 6, drop)
	}
	w.pf("  %%silu = silu %%gate : f32[T,%d] @13:1\n  %%h = mul %%silu, %%up : f32[T,%d] @13:1\n", w.ffn, w.ffn)
	w.linear(g.name, "w2", "ffn", "h", w.dim, 5, drop)
	w.pf("  %%out = add %%mid, %%ffn : f32[T,%d] @14:1\n}\n", w.dim)
}

func (w *writer) root(name string, segs []segment, kind string, loss bool) {
	entry, keys, keysArg, tail := "entry ", "", "", ""
	if name == "train" {
		entry, keys, keysArg = "", ", %keys: i64[T]", ", %keys"
	}
	result := "live"
	if loss {
		tail, result = ", %targets: i32[S], %weights: f32[S]", "loss"
	}
	w.pf("\n%sfunc %s(%%tokens: i32[T], %%pos: i32[T], %%starts: i32[N]%s, %%rows: i32[S]%s) -> (%%%s) {\n", entry, name, keys, tail, result)
	w.pf("  %%x0 = embed %%tokens, $embed : f32[T,%d] @15:1\n", w.dim)
	for _, g := range segs {
		r := fmt.Sprintf("[%d..%d]", g.lo, g.hi)
		if g.lo == g.hi {
			r = fmt.Sprintf("[%d]", g.lo)
		}
		w.pf("  %%x%d = repeat %s%s.forward%s %%x%d, %%pos, %%starts%s : f32[T,%d] @16:1\n", g.hi+1, g.name, kind, r, g.lo, keysArg, w.dim)
	}
	w.pf("  %%norm, %%rstd = rmsnorm %%x%d, $norm {eps=1e-05} : f32[T,%d], f32[T] @17:1\n", w.layers, w.dim)
	head := "head"
	if w.tied {
		head = "embed"
	}
	w.pf("  %%logits = matmul %%norm, $%s {group=head, trans=rhs} : f32[T,%d] @18:1\n", head, w.vocab)
	w.pf("  %%live = gather_rows %%logits, %%rows : f32[S,%d] @18:2\n", w.vocab)
	if loss {
		w.pf("  %%loss = cross_entropy %%live, %%targets, %%weights : f32[] @19:1\n")
	}
	w.pf("}\n")
}

func (w *writer) update() {
	if len(w.params) == 0 {
		return
	}
	var grads []string
	for _, p := range w.params {
		grads = append(grads, "$"+strings.Fields(p)[0]+".grad")
	}
	w.pf("\nentry func update(%%lr: f32[], %%t: i32[]) -> (%%norm) {\n  %%norm = norm %s : f32[] @20:1\n", strings.Join(grads, ", "))
	for _, p := range w.params {
		n := strings.Fields(p)[0]
		w.pf("  adamw $%s, $%s.grad, $%s.m, $%s.v, %%lr, %%t {beta1=0.9, beta2=0.999, eps=1e-08, rule=torch, weight_decay=0.01} @21:1\n", n, n, n, n)
	}
	w.pf("  zero %s @22:1\n}\n", strings.Join(grads, ", "))
}

// specs are the combinations every numeric test runs over.
var specs = map[string]spec{
	"plain":          {layers: 3, targets: "wq wv"},
	"all seven":      {layers: 2, targets: "wq wk wv wo w1 w2 w3", heads: 2, kvHeads: 2},
	"dropout":        {layers: 3, targets: "wq wk wv wo", dropout: 0.25},
	"dropout up":     {layers: 2, targets: "wk w3", dropout: 0.25},
	"full":           {layers: 2, full: true},
	"full tied":      {layers: 2, full: true, tied: true},
	"full and lora":  {layers: 2, full: true, targets: "wq w2", dropout: 0.25, tied: true},
	"tied":           {layers: 2, targets: "wo", tied: true},
	"one layer":      {layers: 1, targets: "wq wk wv wo"},
	"one layer down": {layers: 1, targets: "w2"},
	"concat":         {layers: 2, targets: "w_qkv w_gate_hidden", concat: true},
	"concat dropout": {layers: 2, targets: "w_qkv wo w2", concat: true, dropout: 0.25},
	"half frozen":    {layers: 2, targets: "wq wv", frozenA: true, dropout: 0.25},
	"segments":       {layers: 4, targets: "wq w1", from: 2},
	"segments one":   {layers: 3, targets: "wv", from: 2, dropout: 0.25},
	"four heads":     {layers: 2, targets: "wk wo", heads: 4, kvHeads: 2},
	"nothing trains": {layers: 2},
}
