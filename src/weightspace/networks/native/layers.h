// The operations between the products: batch norm, activation, pooling, dropout and the loss.
// A channel of a convolution's output is side x side x samples values in one run.
#pragma once

#include <algorithm>

#include "activations.h"

namespace ws {

constexpr double EPSILON = 1e-5, MOMENTUM = 0.1;  // of batch norm, PyTorch's defaults

// A norm of one channel: normalized value = (z - mean) * inverse, output = z * slope + base.
template <class T> struct Norm {
  T mean = 0, inverse = 1, slope = 1, base = 0;
};

// The norm of `count` values; running statistics are updated when `training`.
template <class T>
Norm<T> norm_of(const T* z, ptrdiff_t count, T shift, T scale, T* running_mean, T* running_var,
                bool training) {
  double mean = *running_mean, var = *running_var;
  if (training) {
    // Sums of distances from one of the values: one pass without cancellation.
    const T pivot = z[0];
    double first = 0, second = 0;
    for (ptrdiff_t start = 0; start < count; start += 2048) {
      Vec<T> a{}, b{};
      along<T>(std::min<ptrdiff_t>(2048, count - start), [&](ptrdiff_t j, int lanes, bool whole) {
        const Vec<T> d = only<T>(fetch(z + start + j, lanes, whole) - pivot, lanes, whole);
        a += d;
        b += d * d;
      });
      first += sum<T>(a);
      second += sum<T>(b);
    }
    mean = pivot + first / count;
    var = std::max(0.0, second / count - (first / count) * (first / count));
    if (!(second == second)) var = second;
    *running_mean = (T)((1 - MOMENTUM) * *running_mean + MOMENTUM * mean);
    *running_var = (T)((1 - MOMENTUM) * *running_var + MOMENTUM * var * count / (count - 1.0));
  }
  Norm<T> norm;
  norm.mean = (T)mean;
  norm.inverse = (T)(1 / std::sqrt(var + EPSILON));
  norm.slope = scale * norm.inverse;
  norm.base = shift - norm.mean * norm.slope;
  return norm;
}

// Four neighbours under a pooling window, and which of them is the first largest.
template <class T> struct Window {
  Vec<T> z[4];
  Int<T> which;
  Vec<T> u, at;  // of the largest value: before the activation, and z

  template <class A> static Window of(const T* z, ptrdiff_t line, int samples, Norm<T> norm,
                                      int lanes, bool whole) {
    Window w;
    Vec<T> u[4], rank[4];
    for (int i = 0; i < 4; i++) {
      w.z[i] = fetch(z + (i / 2) * line + (i % 2) * samples, lanes, whole);
      u[i] = w.z[i] * norm.slope + norm.base;
      if constexpr (A::rises) rank[i] = u[i];
      else rank[i] = A::template f<T>(u[i]);
    }
    Vec<T> top = rank[0];
    w.u = u[0], w.at = w.z[0], w.which = Int<T>{};
    for (int i = 1; i < 4; i++) {
      const Int<T> more = rank[i] > top;
      top = more ? rank[i] : top;
      w.u = more ? u[i] : w.u;
      w.at = more ? w.z[i] : w.at;
      w.which = more ? (Int<T>{} + i) : w.which;
    }
    return w;
  }
};

// Norm, activation and pooling of one channel [side, side, samples] into `out`.
template <class T, class A>
void activate(const T* z, int side, int samples, bool pool, Norm<T> norm, T* out,
              ptrdiff_t out_line) {
  const ptrdiff_t line = (ptrdiff_t)side * samples;
  if (!pool) {
    for (int y = 0; y < side; y++)
      along<T>(line, [&](ptrdiff_t j, int lanes, bool whole) {
        const Vec<T> u = fetch(z + y * line + j, lanes, whole) * norm.slope + norm.base;
        put(out + y * out_line + j, A::template f<T>(u), lanes, whole);
      });
    return;
  }
  for (int y = 0; y < side / 2; y++)
    for (int x = 0; x < side / 2; x++)
      along<T>(samples, [&](ptrdiff_t j, int lanes, bool whole) {
        const auto w = Window<T>::template of<A>(z + 2 * y * line + 2 * x * samples + j, line,
                                                 samples, norm, lanes, whole);
        put(out + y * out_line + x * samples + j, A::template f<T>(w.u), lanes, whole);
      });
}

// Gradients of one channel: of its norm's shift and scale, and of its bias.
template <class T> struct ChannelGradient {
  T shift, scale, bias;
};

// The backward pass of pooling, activation and norm: `d` is the gradient of the output and is
// overwritten; `dz`, with `dz_line` values per line, receives the gradient of z.
template <class T, class A>
ChannelGradient<T> back(const T* z, int side, int samples, bool pool, bool normed, Norm<T> norm,
                        const T* out, ptrdiff_t out_line, T* d, T* dz, ptrdiff_t dz_line) {
  const ptrdiff_t line = (ptrdiff_t)side * samples;
  const int small = pool ? side / 2 : side;
  const ptrdiff_t small_line = (ptrdiff_t)small * samples;
  double shift = 0, scale = 0, bias = 0;

  // First through activation and pooling, adding up what the norm's gradient needs.
  for (int y = 0; y < small; y++) {
    Vec<T> s{}, sz{};
    auto one = [&](ptrdiff_t j, Vec<T> u, Vec<T> v, Vec<T> at, int lanes, bool whole) {
      const Vec<T> g = fetch(d + y * small_line + j, lanes, whole) * A::template df<T>(u, v);
      put(d + y * small_line + j, g, lanes, whole);
      s += g;
      sz += g * (at - norm.mean);
    };
    if (!pool)
      along<T>(line, [&](ptrdiff_t j, int lanes, bool whole) {
        const Vec<T> at = fetch(z + y * line + j, lanes, whole);
        one(j, at * norm.slope + norm.base, fetch(out + y * out_line + j, lanes, whole), at, lanes,
            whole);
      });
    else
      for (int x = 0; x < small; x++)
        along<T>(samples, [&](ptrdiff_t j, int lanes, bool whole) {
          const auto w = Window<T>::template of<A>(z + 2 * y * line + 2 * x * samples + j, line,
                                                   samples, norm, lanes, whole);
          const Vec<T> v = fetch(out + y * out_line + x * samples + j, lanes, whole);
          one(x * samples + j, w.u, v, w.at, lanes, whole);
        });
    shift += sum<T>(s);
    scale += sum<T>(sz);
  }
  scale *= norm.inverse;

  // Then through the norm: dz = slope * (du - mean(du) - normalized * mean(du * normalized)).
  const double count = (double)side * side * samples;
  const T a = normed ? (T)(norm.slope * shift / count) : 0;
  const T b = normed ? (T)(norm.slope * scale / count * norm.inverse) : 0;
  for (int y = 0; y < side; y++) {
    Vec<T> s{};
    if (pool && y / 2 < small) {
      if (y % 2) continue;
      for (int x = 0; x < small; x++)
        along<T>(samples, [&](ptrdiff_t j, int lanes, bool whole) {
          const auto w = Window<T>::template of<A>(z + y * line + 2 * x * samples + j, line,
                                                   samples, norm, lanes, whole);
          const Vec<T> g =
              fetch(d + y / 2 * small_line + x * samples + j, lanes, whole) * norm.slope;
          for (int i = 0; i < 4; i++) {
            const Vec<T> v = (w.which == i ? g : Vec<T>{}) - a - (w.z[i] - norm.mean) * b;
            put(dz + (y + i / 2) * dz_line + (2 * x + i % 2) * samples + j, v, lanes, whole);
            s += only<T>(v, lanes, whole);
          }
        });
    }
    // The pixels that pooling drops, or all of them without pooling.
    const ptrdiff_t start = pool && y / 2 < small ? 2 * small_line : 0;
    for (int line_y = y; line_y < y + (start ? 2 : 1); line_y++)
      along<T>(line - start, [&](ptrdiff_t j, int lanes, bool whole) {
        j += start;
        Vec<T> v = -a - (fetch(z + line_y * line + j, lanes, whole) - norm.mean) * b;
        if (!pool) v += fetch(d + line_y * line + j, lanes, whole) * norm.slope;
        put(dz + line_y * dz_line + j, v, lanes, whole);
        s += only<T>(v, lanes, whole);
      });
    bias += sum<T>(s);
  }
  return {(T)shift, (T)scale, (T)bias};
}

// Losses of logits [outputs, samples]; `d` receives the gradient of their mean.
// Returns mean loss (with smoothing), mean negative log likelihood and share of correct answers.
template <class T> struct Losses {
  double loss = 0, nll = 0, correct = 0;
};

template <class T>
Losses<T> cross_entropy(const T* z, int outputs, int samples, const int64_t* labels, T smoothing,
                        T* d) {
  Losses<T> found;
  const T even = smoothing / outputs, share = T(1) / samples;
  along<T>(samples, [&](ptrdiff_t j, int lanes, bool whole) {
    Vec<T> top = fetch(z + j, lanes, whole), total{}, all_z{};
    for (int o = 1; o < outputs; o++) {
      const Vec<T> v = fetch(z + (ptrdiff_t)o * samples + j, lanes, whole);
      top = v > top ? v : top;
    }
    for (int o = 0; o < outputs; o++) {
      const Vec<T> v = fetch(z + (ptrdiff_t)o * samples + j, lanes, whole);
      const Vec<T> e = exp(v - top);
      total += e;
      all_z += v - top;
      put(d + (ptrdiff_t)o * samples + j, e, lanes, whole);
    }
    for (int o = 0; o < outputs; o++) {
      T* p = d + (ptrdiff_t)o * samples + j;
      put(p, (fetch(p, lanes, whole) / total - even) * share, lanes, whole);
    }
    for (int i = 0; i < lanes; i++) {
      const int64_t label = labels[j + i];
      const double log_total = std::log((double)total[i]);
      const T mine = z[label * samples + j + i];
      const double nll = log_total - ((double)mine - (double)top[i]);
      bool right = mine == top[i];
      for (int64_t o = 0; right && o < label; o++) right = z[o * samples + j + i] < mine;
      found.nll += nll;
      found.loss += (1 - smoothing) * nll + smoothing * (log_total - (double)all_z[i] / outputs);
      found.correct += right;
      d[label * samples + j + i] -= (1 - smoothing) * share;
    }
  });
  found.loss /= samples, found.nll /= samples, found.correct /= samples;
  return found;
}

}  // namespace ws
