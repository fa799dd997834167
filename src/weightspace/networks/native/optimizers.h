// The optimizers' updates of one net in one pass over its memory, each with the bits of torch's code.
//
// training/optimizers.py has the same rules in torch, which rounds after each of its operations; so
// must these. Where the processor multiplies and adds with one rounding (`fused`), torch's kernels
// for it do so too, in the same places. A product that torch rounds by itself is `times`, which no
// compiler joins with a sum; it adds minus zero, which changes nothing, not even the sign of a zero.
#pragma once

#include <algorithm>

#include "vectors.h"

namespace ws {

using Floats = Vec<float>;

// A net's rule; the same layout as `RULE` in native/updates.py.
struct Rule {
  int32_t kind;
  float rate;
  float within, keep;  // weight decay: added to the gradient, and the factor of the weights
  float numbers[6];    // as the rule's function in training/optimizers.py gives them
};

inline Floats times(Floats a, Floats b) { return fused(a, b, -Floats{}); }

// torch's lerp: a + (b - a) * part, from the end that is nearer.
inline Floats between(Floats a, Floats b, float part) {
  return part < 0.5f ? fused(all(part), b - a, a) : fused(all(part - 1.0f), b - a, b);
}

// torch's sqrt, which is that of MKL: with AVX-512 not rounded to the nearest, but one step from the
// processor's estimate. Small numbers are scaled, as their remainders are not normal numbers.
inline Floats root_of_torch(Floats x) {
#if defined(__AVX512F__)
  const auto small = x < 0x1p-60f;
  const Floats scaled = x * (small ? all(0x1p96f) : all(1.0f));
  const Floats inverse = (Floats)_mm512_rsqrt14_ps((__m512)scaled);
  const Floats estimate = scaled * inverse;
  const Floats rest = fused(-estimate, estimate, scaled);
  const Floats found = fused(rest, inverse * 0.5f, estimate) * (small ? all(0x1p-48f) : all(1.0f));
  return (x == 0.0f) | (x == INFINITY) ? x : found;
#else
  return root(x);
#endif
}

// The moving average of squares: torch's mul_ and addcmul_.
inline Floats squares(Floats square, Floats g, float kept, float part) {
  return fused(times(g, all(part)), g, times(square, all(kept)));
}

// Of each: the slots that it keeps, and the direction that is multiplied by the rate and added.
struct Sgd {
  static constexpr int slots = 0;
  static Floats direction(Floats g, Floats*, const float*) { return -g; }
};

struct Momentum {
  static constexpr int slots = 1;
  static Floats direction(Floats g, Floats* slot, const float* c) {
    slot[0] = times(slot[0], all(c[0])) + g;
    return -slot[0];
  }
};

struct Nesterov {
  static constexpr int slots = 1;
  static Floats direction(Floats g, Floats* slot, const float* c) {
    slot[0] = times(slot[0], all(c[0])) + g;
    return -fused(slot[0], all(c[0]), g);
  }
};

struct Adam {
  static constexpr int slots = 2;
  static Floats direction(Floats g, Floats* slot, const float* c) {
    slot[0] = between(slot[0], g, c[0]);
    slot[1] = squares(slot[1], g, c[1], c[2]);
    return times(slot[0] / (root_of_torch(slot[1]) / c[3] + c[4]), all(c[5]));
  }
};

struct RmsProp {
  static constexpr int slots = 1;
  static Floats direction(Floats g, Floats* slot, const float* c) {
    slot[0] = squares(slot[0], g, c[0], c[1]);
    return -(g / (root_of_torch(slot[0]) + c[2]));
  }
};

struct Adagrad {
  static constexpr int slots = 1;
  static Floats direction(Floats g, Floats* slot, const float* c) {
    slot[0] = fused(g, g, slot[0]);
    return -(g / (root_of_torch(slot[0]) + c[0]));
  }
};

struct Lion {
  static constexpr int slots = 1;
  static Floats direction(Floats g, Floats* slot, const float* c) {
    const Floats mixed = between(slot[0], g, c[0]);
    slot[0] = between(slot[0], g, c[1]);
    return -__builtin_convertvector((mixed < 0.0f) - (mixed > 0.0f), Floats);  // true is -1
  }
};

// What becomes of the gradients of a call's nets; the same layout as `Fields` in native/updates.py.
struct Updates {
  const Rule* rules;    // [nets]
  float* slots[2];      // each [nets, values], as far as the rules have them
  int64_t decays;       // whether any net has a weight decay
  float* largest;       // [nets] receives the largest absolute weight, or one that is not finite
};

template <class R>
float update(const Rule& rule, bool decays, ptrdiff_t values, const float* gradient, float* weights,
             float* const* slots) {
  const Floats rate = all(rule.rate), within = all(rule.within), keep = all(rule.keep);
  Int<float> largest{};  // as bits, whose order is that of the absolute values
  along<float>(values, [&](ptrdiff_t j, int lanes, bool whole) {
    Floats g = fetch(gradient + j, lanes, whole), w = fetch(weights + j, lanes, whole);
    Floats slot[2];
    for (int s = 0; s < R::slots; s++) slot[s] = fetch(slots[s] + j, lanes, whole);
    if (decays) g = fused(w, within, g), w = times(w, keep);
    w = fused(R::direction(g, slot, rule.numbers), rate, w);
    put(weights + j, w, lanes, whole);
    for (int s = 0; s < R::slots; s++) put(slots[s] + j, slot[s], lanes, whole);
    Int<float> bits;
    const Floats counted = only<float>(w, lanes, whole);
    std::memcpy(&bits, &counted, sizeof bits);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  });
  int32_t most = 0;
  for (int i = 0; i < Simd<float>::n; i++) most = std::max(most, (int32_t)largest[i]);
  float found;
  std::memcpy(&found, &most, sizeof found);
  return found;
}

// Applies the gradient [values] of net `m`. The order is that of `RULES` in native/updates.py.
inline void update(const Updates& all, int64_t m, ptrdiff_t values, const float* gradient,
                   float* weights) {
  float* slots[2];
  for (int s = 0; s < 2; s++) slots[s] = all.slots[s] ? all.slots[s] + m * values : nullptr;
  const Rule& rule = all.rules[m];
  auto by = [&](auto r) {
    all.largest[m] =
        update<decltype(r)>(rule, all.decays, values, gradient, weights + m * values, slots);
  };
  switch (rule.kind) {
    case 0: return by(Sgd{});
    case 1: return by(Momentum{});
    case 2: return by(Nesterov{});
    case 3: return by(Adam{});
    case 4: return by(RmsProp{});
    case 5: return by(Adagrad{});
    case 6: return by(Lion{});
  }
}

}  // namespace ws
