// What the stand-in pretends, read from the environment by aclInit, so that one
// process can try several machines in turn. The list is at the head of acl.cpp.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace standin {

enum {
    OK = 0,
    NOT_INITIALISED = 100001,
    INITIALISED_TWICE = 100002,
    INVALID = 107000,
    NO_SUCH_DEVICE = 107001,
    NO_CONTEXT = 107002,
    NO_FILE = 107009,
    WAIT_TIMEOUT = 107019,
    NOT_SUPPORTED = 207000,
    OUT_OF_MEMORY = 207001,
    LOST = 507010,
    AIC_EXCEPTION = 507015,
    SYNC_TIMEOUT = 507046,
};

// Where names a launch: the n-th of all, or the n-th of one kernel.
struct Where {
    std::string kernel;
    uint64_t n = 1;
    static Where parse(const std::string& s)
    {
        Where w;
        size_t colon = s.rfind(':');
        std::string number = colon == std::string::npos ? s : s.substr(colon + 1);
        bool digits = !number.empty() && number.find_first_not_of("0123456789") == std::string::npos;
        if (digits) w.n = strtoull(number.c_str(), nullptr, 10);
        if (!digits) w.kernel = s;
        else if (colon != std::string::npos) w.kernel = s.substr(0, colon);
        return w;
    }
};

struct Options {
    std::string soc = "Ascend910B3";
    int64_t cubes = 20, vectors = 40;
    uint32_t devices = 1;
    size_t hbm = size_t(64) << 30;
    std::string cann = "9.1.0";
    std::vector<std::pair<int, Where>> faults;
    std::vector<Where> hangs;
    uint64_t lost = 0, lost_copy = 0, oom = 0; // none
    std::string log;

    static std::string text(const char* name, const std::string& otherwise)
    {
        const char* v = getenv(name);
        return v && *v ? v : otherwise;
    }
    static uint64_t number(const char* name, uint64_t otherwise)
    {
        const char* v = getenv(name);
        return v && *v ? strtoull(v, nullptr, 10) : otherwise;
    }
    static std::vector<std::string> list(const char* name)
    {
        std::vector<std::string> out;
        std::string all = text(name, "") + ",", item;
        for (char c : all) {
            if (c != ',') item += c;
            else if (!item.empty()) out.push_back(item), item.clear();
        }
        return out;
    }
    void read()
    {
        *this = Options();
        soc = text("STANDIN_SOC", soc);
        cubes = number("STANDIN_CUBES", cubes);
        vectors = number("STANDIN_VECTORS", vectors);
        devices = number("STANDIN_DEVICES", devices);
        hbm = number("STANDIN_HBM", hbm);
        cann = text("STANDIN_CANN", cann);
        for (auto& f : list("STANDIN_FAULT")) {
            size_t at = f.find('@');
            faults.push_back({atoi(f.c_str()), Where::parse(at == std::string::npos ? "1" : f.substr(at + 1))});
        }
        for (auto& h : list("STANDIN_HANG")) hangs.push_back(Where::parse(h));
        lost = number("STANDIN_LOST", 0);
        oom = number("STANDIN_OOM", 0);
        lost_copy = number("STANDIN_LOST_COPY", 0);
        log = text("STANDIN_LOG", "");
    }
    // lacks says that this CANN has no such function. The symbol is resolved before
    // aclInit, so it asks the environment.
    static bool lacks(const char* name)
    {
        for (auto& f : list("STANDIN_LACKS"))
            if (f == name) return true;
        return false;
    }
};

inline Options& options() { static Options o; return o; }

// Counts of launches, and what was asked to befall this one.
class Launches {
    std::mutex m;
    uint64_t all = 0, copies = 0, allocations = 0;
    std::map<std::string, uint64_t> of;

public:
    struct Fate { int fault = OK; bool hangs = false; };
    void reset() { std::lock_guard<std::mutex> g(m); all = copies = allocations = 0; of.clear(); }
    Fate next(const std::string& kernel)
    {
        std::lock_guard<std::mutex> g(m);
        uint64_t n = ++all, k = ++of[kernel];
        auto here = [&](const Where& w) { return w.kernel.empty() ? w.n == n : w.kernel == kernel && w.n == k; };
        Fate f;
        for (auto& x : options().faults) if (here(x.second)) f.fault = x.first;
        for (auto& x : options().hangs) if (here(x)) f.hangs = true;
        return f;
    }
    bool refused() { std::lock_guard<std::mutex> g(m); return ++allocations == options().oom; }
    void copied() { std::lock_guard<std::mutex> g(m); ++copies; }
    bool lost()
    {
        std::lock_guard<std::mutex> g(m);
        auto& o = options();
        return (o.lost && all >= o.lost) || (o.lost_copy && copies >= o.lost_copy);
    }
};

inline Launches& launches() { static Launches l; return l; }

} // namespace standin
