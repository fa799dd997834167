// SIMD vectors of float or double by the compilers' vector extensions: as wide as the target has.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#if defined(__AVX512F__)
#define WS_BYTES 64
#define WS_REGISTERS 32
#elif defined(__AVX2__)
#define WS_BYTES 32
#define WS_REGISTERS 16
#elif defined(__aarch64__)
#define WS_BYTES 16
#define WS_REGISTERS 32
#else
#define WS_BYTES 16
#define WS_REGISTERS 16
#endif

namespace ws {

// V: a vector of T, I: of as many integers of T's size, n: how many.
template <class T> struct Simd;
template <> struct Simd<float> {
  typedef float V __attribute__((vector_size(WS_BYTES)));
  typedef int32_t I __attribute__((vector_size(WS_BYTES)));
  static constexpr int n = WS_BYTES / 4;
};
template <> struct Simd<double> {
  typedef double V __attribute__((vector_size(WS_BYTES)));
  typedef int64_t I __attribute__((vector_size(WS_BYTES)));
  static constexpr int n = WS_BYTES / 8;
};
template <class T> using Vec = typename Simd<T>::V;
template <class T> using Int = typename Simd<T>::I;

template <class T> inline Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

template <class T> inline void store(T* p, Vec<T> v) { std::memcpy(p, &v, sizeof v); }

template <class T> inline Vec<T> all(T x) { return Vec<T>{} + x; }

// The first `lanes` of what is at p, zeros behind them.
template <class T> inline Vec<T> load_some(const T* p, int lanes) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_loadu_ps((__mmask16)((1u << lanes) - 1), p);
  else
    return (Vec<T>)_mm512_maskz_loadu_pd((__mmask8)((1u << lanes) - 1), p);
#else
  Vec<T> v{};
  for (int i = 0; i < lanes; i++) v[i] = p[i];
  return v;
#endif
}

template <class T> inline void store_some(T* p, Vec<T> v, int lanes) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << lanes) - 1), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << lanes) - 1), (__m512d)v);
#else
  for (int i = 0; i < lanes; i++) p[i] = v[i];
#endif
}

// `v` with zeros behind its first `lanes`.
template <class T> inline Vec<T> only(Vec<T> v, int lanes, bool whole) {
  if (whole) return v;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_maskz_mov_ps((__mmask16)((1u << lanes) - 1), (__m512)v);
  else
    return (Vec<T>)_mm512_maskz_mov_pd((__mmask8)((1u << lanes) - 1), (__m512d)v);
#else
  T kept[Simd<T>::n];
  store(kept, v);
  return load_some(kept, lanes);
#endif
}

// Halves are added until one value is left.
template <class T> inline T sum(Vec<T> v) {
  T kept[Simd<T>::n];
  store(kept, v);
#pragma GCC unroll 4
  for (int half = Simd<T>::n / 2; half; half /= 2)
#pragma GCC unroll 16
    for (int i = 0; i < half; i++) kept[i] += kept[i + half];
  return kept[0];
}

// Adds neighbours: lane i of the result is a pair of a (first half) or b (second half).
template <class T, size_t... I>
inline Vec<T> add_pairs(Vec<T> a, Vec<T> b, std::index_sequence<I...>) {
  return __builtin_shufflevector(a, b, (2 * I)...) + __builtin_shufflevector(a, b, (2 * I + 1)...);
}

// to[i] = sum of all lanes of from[i].
template <class T> inline void sum_each(const Vec<T>* from, ptrdiff_t count, T* to) {
  constexpr int n = Simd<T>::n;
  ptrdiff_t i = 0;
  for (; i + n <= count; i += n) {
    Vec<T> v[n];
#pragma GCC unroll 16
    for (int k = 0; k < n; k++) v[k] = from[i + k];
#pragma GCC unroll 4
    for (int left = n / 2; left; left /= 2)
#pragma GCC unroll 8
      for (int k = 0; k < left; k++)
        v[k] = add_pairs<T>(v[2 * k], v[2 * k + 1], std::make_index_sequence<n>{});
    store(to + i, v[0]);
  }
  for (; i < count; i++) to[i] = sum<T>(from[i]);
}

// Calls f(position, lanes, whole) for each vector of a row of `length` values.
template <class T, class F> inline void along(ptrdiff_t length, F f) {
  constexpr int n = Simd<T>::n;
  ptrdiff_t j = 0;
  for (; j + n <= length; j += n) f(j, n, true);
  if (j < length) f(j, (int)(length - j), false);
}

template <class T> inline Vec<T> fetch(const T* p, int lanes, bool whole) {
  return whole ? load(p) : load_some(p, lanes);
}

template <class T> inline void put(T* p, Vec<T> v, int lanes, bool whole) {
  if (whole) store(p, v);
  else store_some(p, v, lanes);
}

// Lanes of a and b in turn: of their first halves, or of their second.
template <class T, size_t... I>
inline Vec<T> zip(Vec<T> a, Vec<T> b, bool second, std::index_sequence<I...>) {
  constexpr int n = Simd<T>::n;
  return second ? __builtin_shufflevector(a, b, ((I % 2) * n + n / 2 + I / 2)...)
                : __builtin_shufflevector(a, b, ((I % 2) * n + I / 2)...);
}

// Rows become columns; at most as many of both as a vector has lanes.
template <class T>
inline void transpose_block(int rows, int columns, const T* from, ptrdiff_t from_row, T* to,
                            ptrdiff_t to_row) {
  constexpr int n = Simd<T>::n;
  Vec<T> v[n], w[n];
#pragma GCC unroll 16
  for (int i = 0; i < n; i++)
    v[i] = i < rows ? fetch(from + i * from_row, columns, columns == n) : Vec<T>{};
#pragma GCC unroll 4
  for (int left = n; left > 1; left /= 2) {  // rows i and i + n / 2 become 2 i and 2 i + 1
#pragma GCC unroll 8
    for (int i = 0; i < n / 2; i++) {
      w[2 * i] = zip<T>(v[i], v[i + n / 2], false, std::make_index_sequence<n>{});
      w[2 * i + 1] = zip<T>(v[i], v[i + n / 2], true, std::make_index_sequence<n>{});
    }
#pragma GCC unroll 16
    for (int i = 0; i < n; i++) v[i] = w[i];
  }
#pragma GCC unroll 16
  for (int i = 0; i < n; i++)
    if (i < columns) put(to + i * to_row, v[i], rows, rows == n);
}

// a * b + c, rounded once where the target has an instruction for it, else twice.
inline Vec<float> fused(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#elif defined(__AVX2__) && defined(__FMA__)
  return (Vec<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#elif defined(__aarch64__)
  return (Vec<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
#else
  return a * b + c;
#endif
}

inline Vec<float> root(Vec<float> x) {
  float v[Simd<float>::n];
  store(v, x);
  for (float& one : v) one = std::sqrt(one);  // one instruction for all of them
  return load(v);
}

// exp(x) - 1, relative error below 4e-7 in float: x = k ln 2 + r, and Taylor's series in r.
inline Vec<float> expm1(Vec<float> x) {
  const float low = -87.0f, high = 88.0f, magic = 12582912.0f;
  x = x < low ? all(low) : x;
  x = x > high ? all(high) : x;
  Vec<float> k = (x * 1.44269504088896341f + magic) - magic;
  Vec<float> r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
  Vec<float> p = r * (1.0f / 5040) + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r * r + r;
  Int<float> bits = (__builtin_convertvector(k, Int<float>) + 127) << 23;
  Vec<float> scale;
  std::memcpy(&scale, &bits, sizeof scale);
  return scale * p + (scale - 1.0f);
}

inline Vec<float> exp(Vec<float> x) { return expm1(x) + 1.0f; }

template <class F> inline Vec<double> each(Vec<double> x, F f) {
  for (int i = 0; i < Simd<double>::n; i++) x[i] = f(x[i]);
  return x;
}
template <class F> inline Vec<float> each(Vec<float> x, F f) {
  for (int i = 0; i < Simd<float>::n; i++) x[i] = f(x[i]);
  return x;
}

inline Vec<double> expm1(Vec<double> x) {
  return each(x, [](double v) { return std::expm1(v); });
}
inline Vec<double> exp(Vec<double> x) {
  return each(x, [](double v) { return std::exp(v); });
}

}  // namespace ws
