package passes

// table is the order of the passes. Fusions of forward statements come before
// autodiff: each fused op has a gradient rule of its own, so the backward comes
// out fused and keeps exactly what it needs. Passes that follow from facts of
// the base, the data and the machine run where these are known.
var table = []Pass{
	{"store-types", storeTypes, false, "weights are read in the types they are stored in", knowsTypes},
	{"fit-job", fitJob, false, "the arena is as large as the data need, and a limit is known where buffers are chosen", knowsJob},
	{"order", order, false, "the same graph gives the same program, however its statements were listed", nil},
	{"live-rows", liveRows, false, "rows nobody supervises need no head, no loss, and no last layer beyond keys and values", nil},
	{"fuse-lora", fuseLoRA, false, "adapter and base in one pass over y; linears that share x read it once", nil},
	{"fuse-elementwise", fuseElementwise, false, "silu·up and residual+norm without a trip to memory between", nil},
	{"cse", cse, false, "no value twice", nil},
	{"autodiff", autodiff, true, "there is no training without gradients", nil},
	{"prune-frozen", pruneFrozen, true, "a program has no memory for gradients of what is frozen", nil},
	{"fuse-residual", fuseResidual, false, "the residual's gradient joins the norm's without a trip to memory", nil},
	{"fuse-accumulate", fuseAccumulate, true, "gradients are added where they are kept", nil},
	{"fuse-head", fuseHead, false, "the logits of a step never exist whole", nil},
	{"dce", dce, false, "nothing computed that nobody reads", nil},
	{"device-types", deviceTypes, true, "a device reads and writes half the bytes, and its kernels scale nothing", knowsAscend},
	{"partition", partition, true, "each process has its part of what several share, and says to the others what they need", knowsMesh},
	{"choose-keep", chooseKeep, false, "what is cheap to recompute is not saved for the backward", nil},
	{"plan-memory", planMemory, true, "every buffer has its place before the run", nil},
	{"plan-process", planProcess, false, "a trainer knows what it takes before it starts", knowsProcess},
}

// needs lists which pass must come before which, and why; a test checks it.
var needs = []struct{ first, then, why string }{
	{"store-types", "choose-keep", "a limit counts the weights as they are stored"},
	{"fit-job", "choose-keep", "the choice is made for the largest micro-batch and the limit"},
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
	{"dce", "device-types", "sums of products are joined where nobody else reads them"},
	{"device-types", "choose-keep", "a limit counts the bytes of the device"},
	{"device-types", "plan-memory", "buffers are as large as on the device"},
	{"device-types", "partition", "what goes over the wire has the bytes of the device"},
	{"dce", "partition", "what nobody reads is not summed"},
	{"partition", "choose-keep", "a limit counts the bytes of one rank"},
	{"partition", "plan-memory", "buffers are as large as a rank's part"},
	{"choose-keep", "plan-memory", "buffers are placed once"},
	{"plan-memory", "plan-process", "the arena is part of what is counted"},
}
