// Runs a kernel on all its cores. An argument is 8 bytes: an address of global memory, or a number.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

namespace twin {
struct Counters;
enum Kind { AIV, AIC, MIX };
struct Kernel { const char* name; void (*entry)(); Kind kind; int args; };

// launch gives the first fault, or nothing.
std::string launch(const Kernel& k, uint32_t blocks, const uint64_t* words, size_t n, Counters& sum);
} // namespace twin
