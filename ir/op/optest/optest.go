// Package optest has one small statement of every op, for tests that must hold
// for all of them: a registered op without one fails TestEveryOp of ir/op. It
// imports ir alone, so that the tests of ir/op can use it.
package optest

import (
	"fmt"
	"strings"

	"lorac/ir"
)

// Samples is the statements as text, by op. Their operands are those of Header.
var Samples = map[string]string{
	"accumulate":         "accumulate $w.grad, %wd",
	"adafactor":          "adafactor $w, $w.grad, $w.m, $w.row, $w.col, %lr, %t, %coef {beta1=0.9, clip_threshold=1.0, decay_rate=0.8, eps1=1e-30, eps2=1e-3, relative_step=false, scale_parameter=true, warmup_init=false, weight_decay=0.1}",
	"adafactor_vector":   "adafactor_vector $n, $n.grad, $n.m, $n.v, %lr, %t, %coef {beta1=0.9, clip_threshold=1.0, decay_rate=0.8, eps1=1e-30, eps2=1e-3, relative_step=false, scale_parameter=true, warmup_init=false, weight_decay=0.1}",
	"adagrad":            "adagrad $w, $w.grad, $w.v, %lr, %t, %coef {accum=0.1, weight_decay=0.1}",
	"adam":               "adam $w, $w.grad, $w.m, $w.v, %lr, %t, %coef {beta1=0.9, beta2=0.99, eps=1e-8, nesterov=true, weight_decay=0.1}",
	"adamw":              "adamw $w, $w.grad, $w.m, $w.v, %lr, %t, %coef {beta1=0.9, beta2=0.99, eps=1e-8, rule=torch, weight_decay=0.1}",
	"add":                "%r = add %x, %y : f32[T,4]",
	"add_bias":           "%r = add_bias %x, $n : f32[T,4]",
	"add_matmul":         "%r = add_matmul %x, %z, $w {group=linear, trans=none} : f32[T,4]",
	"add_rmsnorm":        "%r, %s, %u = add_rmsnorm %x, %y, $n {eps=1e-5} : f32[T,4], f32[T,4], f32[T]",
	"attention":          "%r, %s = attention %x, %k, %v, %starts {heads=2, kv_heads=1, scale=0.7} : f32[T,4], f32[T,2]",
	"attention_grad":     "%r, %s, %u = attention_grad %y, %x, %k, %v, %x2, %lse, %starts {heads=2, kv_heads=1, scale=0.7} : f32[T,4], f32[T,2], f32[T,2]",
	"all_gather":         "%r = all_gather %y2 {axis=model, dim=1} : f32[T,4]",
	"all_reduce":         "%r = all_reduce %y3 {axis=model} : f32[T,4]",
	"cached_attention":   "%r = cached_attention %x, %k, %v, %pos, $kc, $vc {heads=2, kv_heads=1, scale=0.7} : f32[T,4]",
	"came":               "came $w, $w.grad, $w.m, $w.row, $w.col, $w.drow, $w.dcol, %lr, %t, %coef {beta1=0.9, beta3=0.99, clip_threshold=1.0, decay_rate=0.8, eps1=1e-30, eps2=1e-3, eps3=1e-16, relative_step=false, scale_parameter=true, warmup_init=false, weight_decay=0.1}",
	"came_vector":        "came_vector $n, $n.grad, $n.m, $n.v, %lr, %t, %coef {beta1=0.9, beta3=0.99, clip_threshold=1.0, decay_rate=0.8, eps1=1e-30, eps2=1e-3, eps3=1e-16, relative_step=false, scale_parameter=true, warmup_init=false, weight_decay=0.1}",
	"clip":               "%r = clip %lr {max=1.0, rule=torch} : f32[]",
	"concat_cols":        "%r = concat_cols %x, %k : f32[T,6]",
	"cross_entropy":      "%r = cross_entropy %sl, %targets, %weights : f32[]",
	"cross_entropy_grad": "%r = cross_entropy_grad %sl, %targets, %weights : f32[S,3]",
	"dropout":            "%r = dropout %x, %keys, %i {p=0.4, stream=2} : f32[T,4]",
	"embed":              "%r = embed %tokens, $w : f32[T,4]",
	"embed_grad":         "%r = embed_grad %x, %tokens {vocab=3} : f32[3,4]",
	"embed_grad_acc":     "embed_grad_acc %x, %tokens, $w.grad {vocab=3}",
	"gather_rows":        "%r = gather_rows %x, %rows : f32[S,4]",
	"head_grad":          "%r = head_grad %sx, $w, %targets, %weights, %slse, $w.grad : f32[S,4]",
	"head_stats":         "%r, %s = head_stats %sx, $w, %targets : f32[S], f32[S]",
	"head_loss":          "%r, %s = head_loss %sx, $w, %targets, %weights, $w.grad {dx=true} : f32[], f32[S,4]",
	"lamb":               "lamb $w, $w.grad, $w.m, $w.v, %lr, %t, %coef {beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1}",
	"lora_linear": "%r, %s, %u = lora_linear %x, $w, $a, $b, $w, %keys, %i {p=0.3, parts=[lora, plain], scale=2.0, streams=[1]}" +
		" : f32[T,3], f32[T,2], f32[T,3]",
	"lora_linear_grad": "%r, %s, %u = lora_linear_grad %z, %z2, %x, %xa, $w, $a, $b, $w, %keys, %i {p=0.3, parts=[lora, plain], scale=2.0, streams=[1]}" +
		" : f32[T,4], f32[2,4], f32[3,2]",
	"lora_linear_grad_acc": "%r = lora_linear_grad_acc %z, %z2, %x, %xa, $w, $a, $b, $w, %keys, %i, $a.grad, $b.grad {p=0.3, parts=[lora, plain], scale=2.0, streams=[1]} : f32[T,4]",
	"matmul":               "%r = matmul %x, $w {group=linear, trans=rhs} : f32[T,3]",
	"matmul_acc":           "matmul_acc %z, %x, $w.grad {group=linear, trans=lhs}",
	"momentum":             "momentum $w, $w.grad, $w.v, %lr, %t, %coef {dampening=0.0, momentum=0.9, nesterov=true, weight_decay=0.1}",
	"mul":                  "%r = mul %x, %y : f32[T,4]",
	"own_rows":             "%r = own_rows %x {axis=model, to=T/model} : f32[T/model,4]",
	"narrow":               "%r = narrow %x {dtype=bf16} : bf16[T,4]",
	"norm":                 "%r = norm $w.grad, $a.grad : f32[]",
	"gather_shares": "scatter_units $sum.grad {axis=optimizer} @3:4\n  momentum $a, $sum.grad, $a.share, %lr, %t, %coef {dampening=0.0, momentum=0.9, nesterov=true, weight_decay=0.1} @3:4\n" +
		"  gather_shares $a {axis=optimizer} @3:4\n  zero $sum.grad",
	"norm_layers":           "%r = norm_layers $w.grad, $a.grad {axis=stage} : f32[]",
	"norm_shares":           "scatter_units $sum.grad {axis=optimizer} @3:4\n  %r = norm_shares $sum.grad {axis=optimizer} : f32[] @3:4\n  zero $sum.grad",
	"recv":                  "%r = recv {axis=stage, by=-1, shape=[T, 4]} : f32[T,4]",
	"reduce_scatter":        "%r = reduce_scatter %y3 {axis=model, dim=1, to=4/model} : f32[T,4/model]",
	"root":                  "%r = root %lr, %coef : f32[]",
	"row_loss":              "%r = row_loss %slse, %weights, %weights : f32[]",
	"scatter_units":         "scatter_units $sum.grad {axis=optimizer} @3:4\n  zero $sum.grad",
	"send":                  "send %x {axis=stage, by=1}",
	"sum_squares":           "%r = sum_squares $w.grad, $a.grad : f32[]",
	"sum_units":             "sum_units $part.grad {axis=model} @3:4\n  zero $part.grad",
	"repeat":                "%r = repeat f[0..1] %x : f32[T,4]",
	"rmsnorm":               "%r, %s = rmsnorm %x, $n {eps=1e-5} : f32[T,4], f32[T]",
	"rmsnorm_grad":          "%r = rmsnorm_grad %y, %x, %rstd, $n : f32[T,4]",
	"rmsnorm_grad_add":      "%r = rmsnorm_grad_add %x2, %y, %x, %rstd, $n : f32[T,4]",
	"rmsnorm_grad_w":        "%r = rmsnorm_grad_w %y, %x, %rstd : f32[4]",
	"rmsnorm_grad_w_acc":    "rmsnorm_grad_w_acc %y, %x, %rstd, $n.grad",
	"row_norms":             "%r = row_norms $w, $a, $b {by=2.0} : f32[3]",
	"rope":                  "%r = rope %x, %pos, $cos, $sin {head_dim=2} : f32[T,4]",
	"round":                 "%r = round %x {dtype=f16} : f32[T,4]",
	"scale":                 "%r = scale %x {by=3.0} : f32[T,4]",
	"scale_cols":            "%r = scale_cols %x, $n, %norms : f32[T,4]",
	"scale_cols_grad_m":     "%r = scale_cols_grad_m %y, %x, %norms : f32[4]",
	"scale_cols_grad_m_acc": "scale_cols_grad_m_acc %y, %x, %norms, $n.grad",
	"scatter_rows":          "%r = scatter_rows %sx, %rows {dim=T} : f32[T,4]",
	"sgd":                   "sgd $w, $w.grad, %lr, %t, %coef {weight_decay=0.1}",
	"silu":                  "%r = silu %x : f32[T,4]",
	"silu_grad":             "%r = silu_grad %y, %x : f32[T,4]",
	"split_cols":            "%r, %s = split_cols %x {widths=[1, 3]} : f32[T,1], f32[T,3]",
	"sum_rows":              "%r = sum_rows %x : f32[4]",
	"sum_rows_acc":          "sum_rows_acc %x, $n.grad",
	"swiglu":                "%r = swiglu %x, %y : f32[T,4]",
	"swiglu_grad":           "%r, %s = swiglu_grad %x, %y, %x2 : f32[T,4], f32[T,4]",
	"widen":                 "%r = widen %x : f32[T,4]",
	"zero":                  "zero $w.grad, $a.grad",
	"zeros":                 "%r = zeros {shape=[T, 5]} : f32[T,5]",
}

// OfMesh is the ops that no kernel runs, because ranks of a mesh talk by them.
var OfMesh = map[string]bool{"all_gather": true, "all_reduce": true, "gather_shares": true, "norm_layers": true, "norm_shares": true, "own_rows": true, "recv": true,
	"reduce_scatter": true, "scatter_units": true, "send": true, "sum_units": true}

// Header declares what the statements read; it ends in an open function, main.
const Header = `module m from "m.yaml"
dim T <= 8 @1:1
dim S <= T @1:1
dim N <= T @1:1
param $w : f32[3,4] trainable @1:1
param $a : f32[2,4] trainable @1:1
param $b : f32[3,2] trainable @1:1
param $n : f32[4] trainable @1:1
param $c : f32[3] trainable @1:1
table $cos : f32[9,1] @1:1
table $sin : f32[9,1] @1:1
cache $kc : f32[9,2] @1:1
cache $vc : f32[9,2] @1:1
grad $w.grad : f32[3,4] {of=w} @1:1
grad $a.grad : f32[2,4] {of=a} @1:1
grad $b.grad : f32[3,2] {of=b} @1:1
grad $n.grad : f32[4] {of=n} @1:1
grad $c.grad : f32[3] {of=c} @1:1
state $w.m : f32[3,4] {of=w} @1:1
state $w.v : f32[3,4] {of=w} @1:1
state $w.row : f32[3] {of=w} @1:1
state $w.col : f32[4] {of=w} @1:1
state $w.drow : f32[3] {of=w} @1:1
state $w.dcol : f32[4] {of=w} @1:1
state $n.m : f32[4] {of=n} @1:1
state $n.v : f32[4] {of=n} @1:1
func f[%i](%x: f32[T,4]) -> (%r) {
  %r = scale %x {by=2.0} : f32[T,4] @1:1
}
entry func main(%x: f32[T,4], %y: f32[T,4], %x2: f32[T,4], %k: f32[T,2], %v: f32[T,2], %z: f32[T,3], %z2: f32[T,3], %xa: f32[T,2], %lse: f32[T,2], %rstd: f32[T], %sx: f32[S,4], %sl: f32[S,3], %wd: f32[3,4], %weights: f32[S], %slse: f32[S], %tokens: i32[T], %pos: i32[T], %starts: i32[N], %rows: i32[S], %targets: i32[S], %keys: i64[T], %i: i32[], %lr: f32[], %t: i32[], %coef: f32[], %norms: f32[4]) -> () {
  `

// MeshHeader declares what the ranks of a mesh have, for the ops by which they
// communicate.
var MeshHeader = strings.NewReplacer(
	"param $w ", "mesh optimizer=2 stage=2 model=2 @1:1\nparam $w ",
	"func f[", `grad $part.grad : f32[2,4] sum(model) {of=a} @1:1
grad $sum.grad : f32[2,4] sum(optimizer) {of=a} @1:1
state $a.share : f32[2,4] share(optimizer) {of=a} @1:1
func f[`,
	"%lr: f32[]", "%y2: f32[T,4/model], %y3: f32[T,4] sum(model), %lr: f32[]",
).Replace(Header)

// HeaderOf is the header of the sample of an op.
func HeaderOf(op string) string {
	if o := ir.Lookup(op); o != nil && o.Wire != nil {
		return MeshHeader
	}
	return Header
}

// Parse reads the sample of an op within its module.
func Parse(op string) (*ir.Module, *ir.Stmt, error) {
	m, err := ir.Parse(op, HeaderOf(op)+Samples[op]+" @3:4\n}\n")
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", op, err)
	}
	for _, s := range m.Func("main").Body {
		if s.Op.Name == op {
			return m, s, nil
		}
	}
	return m, m.Func("main").Body[0], nil
}
