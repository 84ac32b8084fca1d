// Runs a kernel on all its cores. An argument is 8 bytes: an address of global memory, or a number.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace twin {
enum Kind { AIV, AIC, MIX };
struct Kernel { const char* name; void (*entry)(); Kind kind; int args; };

// launch gives the first fault, or nothing. counters: the first seven that twin_counters names.
std::string launch(const Kernel& k, uint32_t blocks, const uint64_t* words, size_t n, uint64_t* counters);

// Global memory is what was allocated.
void allocated(void* p, size_t n);
void freed(void* p);
} // namespace twin
