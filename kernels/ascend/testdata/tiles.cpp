// Checks the budgets of csrc/tiles.h over the range of shapes, and prints what kernels
// move and compute by their formulas: a request is a line of a kernel's name and numbers,
// the answer bytes into cores, bytes out of them, FLOPs of the cube.
#include "tiles.h"
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>
using namespace lorac;

static int bad;
static void must(bool ok, const char* what, uint32_t a, uint32_t b)
{
    if (!ok && bad++ < 10) printf("%s: %u, %u\n", what, a, b);
}

// A shape fits the memories, and the fields of the instructions that walk it.
static void checkShape(const Shape& s, const char* what, uint32_t a, uint32_t b)
{
    must(s.fits(), what, a, b);
    must(s.m % 16 == 0 && s.n % 16 == 0 && s.k % 64 == 0 && s.l % 16 == 0 && s.l <= s.k, what, a, b);
    must((s.l / 16) * (s.n / 16) <= 255 && s.m / 16 <= 255, "repeats of LoadData", a, b);
    must(2 * (s.k / 16) * ((s.m > s.n ? s.m : s.n) / 16) <= 65535, "blocks of LoadData", a, b);
}

static void checkBudgets()
{
    for (uint32_t m = 1; m <= 700; m++)
        for (uint32_t n = 1; n <= 700; n++) checkShape(wideShape(m, n), "wideShape", m, n), checkShape(gradShape(m, n), "gradShape", m, n);
    for (uint32_t r = 1; r <= 384; r++) checkShape(narrowShape(r), "narrowShape", r, 0);
    for (uint32_t most : {16, 64, 128, 256})
        for (uint32_t cores = 1; cores <= 25; cores++)
            for (uint32_t m = 0; m <= 3 * 8192; m++) {
                uint32_t rows = evenRows(m, most, cores);
                must(rows > 0 && rows % 16 == 0 && rows <= most, "evenRows", m, cores);
            }
    for (uint32_t k = 0; k <= 3 * 28672; k += 16) must(bandOf(128, k) > 0, "bandOf", k, 0);
    for (uint64_t m = 256; m <= 8192; m++)
        for (uint64_t k = 256; k <= 400; k++) // widths are whole blocks of 16; tokens are not, and waste under 5 % from 310 on
            if (k % 16 == 0 || k >= 310) must(20 * flopsOf(m, 1, k, wideShape(m, 4096).m) <= 21 * 2 * m * k, "FLOPs", m, k);
    for (uint32_t mt = 1; mt <= 12; mt++)
        for (uint32_t nt = 1; nt <= 12; nt++)
            for (uint32_t band = 1; band <= 14; band++) {
                std::vector<bool> seen(mt * nt);
                for (uint32_t t = 0; t < mt * nt; t++) {
                    Place p = placeOf(t, mt, nt, band);
                    must(p.row < mt && p.col < nt && !seen[p.row * nt + p.col], "placeOf", t, band);
                    if (p.row < mt && p.col < nt) seen[p.row * nt + p.col] = true;
                }
            }
    must(DROP_BYTES <= UB_BYTES && DROP_DX_BYTES <= UB_BYTES, "UB", DROP_BYTES, DROP_DX_BYTES);
    for (uint32_t cols = 16; cols <= 28672; cols += 16) must(dropRows(cols) >= 1 && dropRows(cols) * dropCols(cols) <= DROP_BLOCK, "dropRows", cols, 0);
    for (uint32_t r = 1; r <= 128; r++) {
        Shape d = downDropShape(r), g = gradDropShape(r), x = dxDropShape();
        checkShape(d, "downDropShape", r, 0), checkShape(g, "gradDropShape", r, 0), checkShape(x, "dxDropShape", r, 0);
        must(d.m * d.k * 2 <= DOWN_DROP_SLOT && g.n * g.k * 2 <= GRAD_DROP_SLOT && 3 * x.c0() <= DX_DROP_SLOT && r <= x.k, "slot", r, 0);
    }
}

struct Cost { uint64_t in = 0, out = 0, flops = 0; };
// product adds C[m,n] over k in tiles.
static void product(Cost& c, uint64_t m, uint64_t n, uint64_t k, uint32_t tileM, uint32_t tileN)
{
    c.in += movedBytes(m, n, k, tileM, tileN), c.flops += flopsOf(m, n, k, tileM);
}

static Cost cost(const std::string& kernel, const std::vector<uint64_t>& v)
{
    Cost c;
    uint64_t m = v[0], k = v[1]; // rows, width; pairs or ranks, and cores follow
    std::vector<std::pair<uint64_t, uint64_t>> of;
    for (size_t i = 2; i + 1 < v.size(); i += 2) of.push_back({v[i], v[i + 1]});
    uint32_t wide = 0, narrow = 0, most = 0, adapters = 0, cores = v.back();
    for (auto& p : of) wide = std::max<uint64_t>(wide, p.first), narrow = std::max<uint64_t>(narrow, p.second), most += up16(p.second), adapters += p.second > 0;
    if (kernel == "lora_down" || kernel == "lora_down_drop") {
        Shape s = narrowShape(most);
        uint32_t rows = evenRows(m, s.m, cores);
        for (auto& p : of) c.in += 2 * k * p.second * parts(m, rows), c.out += 2 * m * p.second;
        c.in += 2 * m * k;
        c.flops = flopsOf(m, kernel == "lora_down" ? most : of[0].second, k, rows);
        if (kernel == "lora_down_drop") c.in += 2 * m * k, c.out += 2 * m * k; // the vector cores: x in, drop(x) out
    } else if (kernel == "lora_linear" || kernel == "linear_f32") {
        Shape s = wideShape(m, wide);
        for (auto& p : of) {
            product(c, m, p.first, k, s.m, s.n), product(c, m, p.first, p.second, s.m, s.n);
            c.out += (kernel == "linear_f32" ? 4 : 2) * m * p.first;
        }
    } else if (kernel == "lora_up_grad") {
        Shape s = narrowShape(narrow);
        uint32_t rows = evenRows(m * adapters, s.m, cores);
        for (auto& p : of) product(c, m, p.second, p.first, rows, s.n), c.out += 2 * m * p.second;
    } else if (kernel == "lora_linear_grad") {
        Shape s = wideShape(m, k);
        for (auto& p : of) product(c, m, k, p.first, s.m, s.n), product(c, m, k, p.second, s.m, s.n);
        c.out = 2 * m * k;
    } else if (kernel == "weight_grad") { // m tokens; results [first, second]
        Shape s = gradShape(wide, narrow);
        for (auto& p : of) product(c, p.first, p.second, m, s.m, s.n), c.out += 4 * p.first * p.second;
    } else if (kernel == "weight_grad_drop") {
        uint64_t r = of[0].second;
        product(c, r, k, m, up16(r), evenRows(k, gradDropShape(r).n, cores));
        c.in += 2 * m * k, c.out += 2 * m * k + 4 * r * k;
    } else if (kernel == "lora_dx_drop") {
        Shape s = dxDropShape();
        for (auto& p : of) product(c, m, k, p.second, s.m, s.n), c.in += 4 * m * k, c.out += 4 * m * k;
        c.in += 2 * m * k, c.out += 2 * m * k;
    } else {
        printf("no formula of %s\n", kernel.c_str());
        bad++;
    }
    return c;
}

int main()
{
    checkBudgets();
    char line[400];
    while (fgets(line, sizeof line, stdin)) {
        char* at = line;
        while (*at > ' ') at++;
        std::string kernel(line, at);
        std::vector<uint64_t> v;
        for (char* end; v.push_back(strtoull(at, &end, 10)), end != at; at = end) {}
        v.pop_back();
        Cost c = cost(kernel, v);
        printf("%llu %llu %llu\n", (unsigned long long)c.in, (unsigned long long)c.out, (unsigned long long)c.flops);
    }
    return bad > 0;
}
