package passes

// table is the order of the passes. Fusions of forward statements come before
// autodiff: each fused op has a gradient rule of its own, so the backward comes
// out fused and keeps exactly what it needs.
var table = []Pass{
	{"order", order, false, "the same graph gives the same program, however its statements were listed"},
	{"live-rows", liveRows, false, "rows nobody supervises need no head, no loss, and no last layer beyond keys and values"},
	{"fuse-lora", fuseLoRA, false, "adapter and base in one pass over y; linears that share x read it once"},
	{"fuse-elementwise", fuseElementwise, false, "silu·up and residual+norm without a trip to memory between"},
	{"cse", cse, false, "no value twice"},
	{"autodiff", autodiff, true, "there is no training without gradients"},
	{"prune-frozen", pruneFrozen, false, "gradients that reach no trainable parameter"},
	{"fuse-residual", fuseResidual, false, "the residual's gradient joins the norm's without a trip to memory"},
	{"fuse-accumulate", fuseAccumulate, true, "gradients are added where they are kept"},
	{"fuse-head", fuseHead, false, "the logits of a step never exist whole"},
	{"dce", dce, false, "nothing computed that nobody reads"},
	{"choose-keep", chooseKeep, false, "what is cheap to rebuild does not wait for the backward"},
	{"plan-memory", planMemory, true, "every buffer has its place before the run"},
}

// needs lists which pass must come before which, and why; a test checks it.
var needs = []struct{ first, then, why string }{
	{"order", "live-rows", "the rewrites meet statements in one order"},
	{"live-rows", "fuse-lora", "rows are gathered through primitive ops"},
	{"live-rows", "autodiff", "the backward of fewer rows is derived, not rewritten"},
	{"fuse-lora", "autodiff", "the rule of the fused op decides what is kept"},
	{"fuse-elementwise", "autodiff", "the same"},
	{"autodiff", "prune-frozen", "there must be gradients to prune"},
	{"prune-frozen", "fuse-residual", "only gradients that stay are worth joining"},
	{"prune-frozen", "fuse-accumulate", "a gradient that is dropped needs no place"},
	{"fuse-accumulate", "fuse-head", "the head's gradient is matched in its accumulated form"},
	{"fuse-accumulate", "dce", "dead code is what the fusions leave"},
	{"dce", "choose-keep", "what nobody reads is not worth a decision"},
	{"prune-frozen", "choose-keep", "the keep list must hold only what is still used"},
	{"choose-keep", "plan-memory", "buffers are placed once"},
}
