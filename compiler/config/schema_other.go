package config

// Reasons for keys of other models, methods and programs. A key of these rows is
// accepted without effect if it is switched off, or has the value that a Llama
// implies (see harmless).
const (
	experts   = "of mixture-of-experts models; lorac trains dense Llamas"
	latent    = "of multi-head latent attention (DeepSeek); lorac trains LlamaForCausalLM"
	manyAhead = "of multi-token prediction (DeepSeek); lorac trains LlamaForCausalLM"
	biased    = "LlamaForCausalLM does not read it; its biases are qkv_has_bias, attn_proj_has_bias and mlp_has_bias"
	dropping  = "Llama trains without dropout; set it to 0, pet_config.lora_dropout is the adapter's"
	otherArch = "of another architecture (GLM, GPT, Qwen3); lorac trains LlamaForCausalLM"
	seeing    = "of a model of several kinds of input; lorac trains on text"
	otherPets = "of another method than lora; write lora_rank, lora_alpha, lora_dropout and target_modules"
	equal     = "an equal form of the same arithmetic"
	unread    = "MindFormers ignores it for Llama"
	oneExpert = "acts with more than one expert only"
	metrics   = "metrics.jsonl is always written"
	converter = "a setting of convert_weight.py, and this is no training config; see lorac convert --help"
	noQuant   = "quantised MindSpore models are not supported; take the weights they were made of"
	trial     = "of MindFormers' experimental trainer; write runner_config, optimizer and train_dataset"
)

// otherRows are the keys of all models that MindFormers ships which a Llama does not
// have, and the sections that only matter to those models.
var otherRows = []row{
	{"{load_ckpt_async,save_file,ckpt_use_legacy_format}", Ignored, whole},
	{"balanced_load", Ignored, oneExpert},

	{"moe_config.{capacity_factor,aux_loss_factor,aux_loss_factors,aux_loss_types,z_loss_factor,num_experts_chosen,expert_group_size,shared_expert_num}", Ignored, oneExpert},
	{"moe_config.{group_wise_a2a,comp_comm_parallel,comp_comm_parallel_degree,save_token_distribution,cur_layer,update_step,moe_module_name,routing_policy}", Ignored, oneExpert},
	{"moe_config.{enable_cold_hot_expert,hot_expert_num,cold_token_percent,norm_topk_prob,enable_sdrop,use_fused_ops_topkrouter,router_dense_type}", Ignored, oneExpert},
	{"moe_config.{use_shared_expert_gating,max_router_load,topk_method,topk_group,n_group,first_k_dense_replace,moe_intermediate_size,routed_scaling_factor}", Ignored, oneExpert},
	{"moe_config.{balance_via_topk_bias,topk_bias_update_rate,use_allgather_dispatcher,moe_shared_expert_overlap,expert_model_parallel,use_gating_sigmoid}", Ignored, oneExpert},
	{"moe_config.{enable_deredundency,npu_nums_per_device,use_gmm,enable_gmm_safe_tokens,use_fused_ops_permute,callback_moe_droprate,dispatch_global_max_bs,ep_extend_tp}", Ignored, oneExpert},
	{"swap_config.{swap,default_prefetch}", Ignored, ascend},
	{"swap_config.{layer_swap,op_swap}.*", Ignored, ascend},
	{"monitor_config.{monitor_on,dump_path,step_interval,throughput_baseline,print_struct,invert,check_for_global_norm,global_norm_spike_threshold,global_norm_spike_count_threshold}", Ignored, metrics},
	{"monitor_config.{target,local_loss_format,local_norm_format,device_local_loss_format,device_local_norm_format,optimizer_state_format,weight_state_format}.*", Ignored, metrics},
	{"processor.{type,auto_register,max_length,padding,add_special_tokens}", Ignored, "the tokenizer's own file says it"},
	{"processor.{image_processor,audio_processor,model_transform_template}.*", Ignored, vision},

	{mc + "{architectures,model_type}", Ignored, "the type names the architecture"},
	{mc + "{parallel_config,pipeline_stage,lm_head_dp,micro_batch_interleave_num,use_seq_parallel}.*", Ignored, parallel},
	{mc + "{apply_rope_fusion,bias_dropout_fusion,bias_swiglu_fusion,use_fused_rope,use_fused_swiglu,use_rearrange_rope,masked_softmax_fusion}", Ignored, equal},
	{mc + "{use_contiguous_weight_layout,use_contiguous_weight_layout_attention,attention_softmax_in_fp32,fp32_residual_connection,residual_dtype,use_eod_attn_mask_compression}", Ignored, equal},
	{mc + "{use_select_recompute,chunk_prefill,return_hidden_states,input_sliced_sig,use_cache,calculate_per_token_loss}", Ignored, infer},
	{mc + "{init_method_std,dtype,assistant_token_id,user_token_id,alpha,beta,prompt,prompt_length}", Ignored, unread},
	{mc + "params_dtype", Ignored, "MindFormers reads param_init_type"},
	{mc + "{beta_fast,beta_slow,mscale,mscale_all_dim}", Refused, "out of place; write it in scaling_factor"},
	{mc + "{eos_token,pad_token}", Refused, "of GPT models; write eos_token_id and pad_token_id"},
	{mc + "{quant,quantization_bit}.*", Refused, noQuant},
	{mc + "boost_model_name", Refused, "of an inference library for Ascend; take LlamaForCausalLM's own config"},
	{mc + "{ffn_concat,mlp_concat}", Refused, "weights in pairs are of other models; write qkv_concat, which puts q, k, v and w1, w3 together"},

	{mc + "{num_experts,n_routed_experts,n_shared_experts,num_experts_per_tok,moe_intermediate_size,moe_shared_expert_intermediate_size,norm_topk_prob}", Refused, experts},
	{mc + "{moe_aux_loss_coeff,moe_grouped_gemm,moe_router_bias_update_rate,moe_router_enable_expert_bias,moe_router_fusion,moe_router_load_balancing_type}", Refused, experts},
	{mc + "{moe_router_pre_softmax,moe_token_dispatcher_type,moe_token_drop_policy,router_aux_loss_coef,router_dense_type,use_fused_ops_topkrouter}", Refused, experts},
	{mc + "{n_group,topk_group,scoring_func,routed_scaling_factor,first_k_dense_replace,return_extra_loss}", Refused, experts},
	{mc + "{kv_lora_rank,q_lora_rank,qk_nope_head_dim,qk_rope_head_dim,v_head_dim,multi_latent_attention,mla_qkv_concat,use_fused_mla}", Refused, latent},
	{mc + "{mtp_depth,mtp_loss_factor,mtp_loss_scaling_factor,num_nextn_predict_layers}", Refused, manyAhead},
	{mc + "{add_bias_linear,add_qkv_bias,attention_bias,mlp_bias,out_proj_has_bias,qkv_bias}", Refused, biased},
	{mc + "{attention_dropout,attention_dropout_prob,attention_probs_dropout_prob,dropout_prob,embed_dropout_prob,embedding_dropout_prob,hidden_dropout,hidden_dropout_prob}", Refused, dropping},
	{mc + "{hidden_act,gated_linear_unit,position_embedding_type,normalization,rmsnorm,qk_layernorm,head_dim}", Refused, otherArch},
	{mc + "{multi_query_attention,multi_query_group_num,apply_query_key_layer_scaling,apply_residual_connection_post_layernorm,post_layer_norm,layernorm_epsilon}", Refused, otherArch},
	{mc + "{pre_seq_len,prefix_projection,rope_ratio,padded_vocab_size,expand_ratio,n_position,use_llama_rope,position_encoding_2d}", Refused, otherArch},
	{mc + "{vision_model,vision_config,text_model,text_config,llm_model,qformer_config}.*", Refused, seeing},
	{mc + "{freeze_adapter,freeze_llm,freeze_text,freeze_vision,max_txt_len,num_queries,stage,video_contains_pooler,add_newline,use_pad_tokens}", Refused, seeing},
	{mc + "{spatial_pool_mode,spatial_pool_out_channels,spatial_pool_stride,img_dynamic_batch,max_patch_height_num,max_patch_width_num}", Refused, seeing},

	{mc + "pet_config.{in_channels,out_channels}", Ignored, "the shapes come from the model"},
	{mc + "pet_config.{adapter_path,dropout_prob,dropout_rate,mid_dim,pre_seq_len,prefix_projection,prefix_token_num,projection_dim}", Refused, otherPets},
	{"model.arch.pet.pet_type", Used, ""},
	{"model.arch.pet.pet_config.{lora_rank,lora_alpha,lora_dropout}", Used, "model_config.pet_config wins"},
	{"model.arch.pet.pet_config.{in_channels,out_channels}", Ignored, "the shapes come from the model"},

	{"DATASET.data_loader.{annotation_file,annotation_files,column_names,image_dirs,stage,hypothesis_template}", Refused, seeing},
	{"DATASET.data_loader.{create_attention_mask,create_compressed_eod_mask,compressed_eod_mask_length}", Ignored, "masks are not built; eod_reset says where attention ends"},
	{"DATASET.{transforms,text_transforms,modal_to_text_transform,mixup_op}.*", Refused, seeing},
	{"DATASET.{eos_id,gmask_id,sop_id}", Refused, otherArch},
	{"DATASET.{img_dynamic_batch,micro_batch}", Ignored, vision},

	{"{baichuan,blip,bloom,codegeex2,glm,glm2,gpt,internlm,knowlm,llama,mae,qwen,skywork,swin,vit,wizardcoder}.*", Refused, converter},
	{"{training_config,optimizer_config,dataset_config}.*", Refused, trial},
}

// harmless are the values that a Llama implies.
var harmless = map[string][]any{
	mc + "hidden_act":              {"silu", "swiglu", "fused_swiglu"},
	mc + "gated_linear_unit":       {true},
	mc + "position_embedding_type": {"rope"},
	mc + "normalization":           {"RMSNorm", "FusedRMSNorm"},
	mc + "rmsnorm":                 {true},
	mc + "post_layer_norm":         {true},
	mc + "num_experts":             {0, 1, nil},
}
