// Plain loops over the values of a slice or a tensor, which the compiler turns into vectors.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace ws {

using std::ptrdiff_t;

// The natural logarithm of a positive normal float, to 1e-7 of its size or of 1.
// Coefficients: minimax polynomial of the Cephes library (Moshier), for [sqrt(1/2), sqrt(2)].
inline float log_of(float x) {
  uint32_t bits = __builtin_bit_cast(uint32_t, x) - 0x3f3504f3u;
  const float exponent = (float)((int32_t)bits >> 23);
  bits = (bits & 0x007fffffu) + 0x3f3504f3u;
  const float m = __builtin_bit_cast(float, bits) - 1.0f;
  const float z = m * m;
  float p = 7.0376836292e-2f;
  p = p * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  return m + (m * z * p - 0.5f * z) + exponent * 0.693147180559945f;
}

// The same for doubles, to their precision: twice the series of the inverse hyperbolic tangent.
inline double log_of(double x) {
  uint64_t bits = __builtin_bit_cast(uint64_t, x) - 0x3fe6a09e667f3bcdu;
  const double exponent = (double)((int64_t)bits >> 52);
  bits = (bits & 0x000fffffffffffffu) + 0x3fe6a09e667f3bcdu;
  const double m = __builtin_bit_cast(double, bits);
  const double s = (m - 1) / (m + 1), z = s * s;
  double p = 1.0 / 21;
  for (int k = 19; k >= 3; k -= 2) p = p * z + 1.0 / k;
  return 2 * s * (p * z + 1) + exponent * 0.6931471805599453;
}

inline double asinh_of(double x) {
  const double size = std::fabs(x), small = std::min(size, 1e18);
  const double y = size > 1e18 ? 2 * size : small + std::sqrt(small * small + 1);
  const double found = log_of(y);
  return x < 0 ? -found : found;
}

inline float asinh_of(float x) {
  const float size = std::fabs(x), small = std::min(size, 1e9f);
  const float y = size > 1e9f ? 2 * size : small + std::sqrt(small * small + 1);
  const float found = log_of(y);
  return x < 0 ? -found : found;
}

template <class T> inline double sum_of(const T* x, ptrdiff_t n) {
  double sum = 0;
  for (ptrdiff_t i = 0; i < n; i++) sum += x[i];
  return sum;
}

struct Moments {
  double mean, variance, skewness, kurtosis;
};

template <class T> inline Moments moments_of(const T* x, ptrdiff_t n) {
  const double mean = sum_of(x, n) / n;
  double two = 0, three = 0, four = 0;
  for (ptrdiff_t i = 0; i < n; i++) {
    const double d = x[i] - mean, square = d * d;
    two += square;
    three += square * d;
    four += square * square;
  }
  two /= n;
  const double rounding = 1e-7 * std::fabs(mean);
  // If the spread is only rounding error of the mean, skewness and kurtosis mean nothing.
  if (two <= rounding * rounding) return {mean, two, 0, 0};
  return {mean, two, three / n / (two * std::sqrt(two)), four / n / (two * two) - 3};
}

// Between order statistics, linear.
template <class Order> inline double quantile(const Order& ordered, ptrdiff_t n, double share) {
  const double position = share * (n - 1);
  const ptrdiff_t below = (ptrdiff_t)position, above = std::min(below + 1, n - 1);
  const double low = ordered[below], high = ordered[above];
  return low + (position - below) * (high - low);
}

// Sorts floats by the digits of their bits.
class Sorter {
 public:
  void operator()(const float* from, ptrdiff_t n, float* to) {
    keys_.resize(n), other_.resize(n);
    uint32_t counts[3][2048] = {};
    for (ptrdiff_t i = 0; i < n; i++) {
      uint32_t u;
      std::memcpy(&u, from + i, 4);
      u ^= (uint32_t)((int32_t)u >> 31) | 0x80000000u;
      keys_[i] = u;
      counts[0][u & 2047]++, counts[1][u >> 11 & 2047]++, counts[2][u >> 22]++;
    }
    uint32_t *a = keys_.data(), *b = other_.data();
    for (int pass = 0; pass < 3; pass++) {
      uint32_t* count = counts[pass];
      uint32_t start = 0;
      for (int d = 0; d < 2048; d++) {
        const uint32_t own = count[d];
        count[d] = start;
        start += own;
      }
      const int shift = 11 * pass;
      for (ptrdiff_t i = 0; i < n; i++) b[count[a[i] >> shift & 2047]++] = a[i];
      std::swap(a, b);
    }
    for (ptrdiff_t i = 0; i < n; i++) {
      uint32_t u = a[i];
      u ^= u >> 31 ? 0x80000000u : 0xffffffffu;
      std::memcpy(to + i, &u, 4);
    }
  }

 private:
  std::vector<uint32_t> keys_, other_;
};

// The order of absolute values, from the order of the values.
class Sizes {
 public:
  Sizes() = default;
  Sizes(const float* ordered, ptrdiff_t n)
      : x_(ordered), n_(n), negative_(std::lower_bound(ordered, ordered + n, 0.0f) - ordered) {}

  // The k-th smallest, k from 0: the first `i` negative ones and the first `k + 1 - i` others are
  // the smallest, for one i.
  float operator[](ptrdiff_t k) const {
    const ptrdiff_t others = n_ - negative_;
    ptrdiff_t low = std::max<ptrdiff_t>(0, k + 1 - others), high = std::min(k + 1, negative_);
    while (low < high) {
      const ptrdiff_t i = (low + high) / 2;
      if (below(i) < above(k - i)) low = i + 1;
      else high = i;
    }
    const float a = low ? below(low - 1) : 0, b = k + 1 - low ? above(k - low) : 0;
    return std::max(a, b);
  }

  // How many are at most `limit`.
  ptrdiff_t within(float limit) const {
    return std::upper_bound(x_, x_ + n_, limit) - std::lower_bound(x_, x_ + n_, -limit);
  }

 private:
  float below(ptrdiff_t i) const { return -x_[negative_ - 1 - i]; }
  float above(ptrdiff_t i) const { return x_[negative_ + i]; }

  const float* x_ = nullptr;
  ptrdiff_t n_ = 0, negative_ = 0;
};

}  // namespace ws
