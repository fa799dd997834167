// Augmented images, as images/augmentation.py makes them: the same numbers from the same streams.
#pragma once

#include <algorithm>
#include <vector>

#include "vectors.h"

namespace ws {

// Words of a stream as in training/streams.py: SplitMix64 (Steele, Lea & Flood, OOPSLA 2014).
typedef uint64_t Words __attribute__((vector_size(WS_BYTES)));
constexpr int WORDS = WS_BYTES / 8;
constexpr uint64_t GAMMA = 0x9E3779B97F4A7C15u;

template <class W> inline W mix(W z) {
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

inline uint64_t word(uint64_t key, uint64_t position) { return mix(key + (position + 1) * GAMMA); }

// Uniform in (0, 1), 52 bits.
inline double uniform(uint64_t key, uint64_t position) {
  return ((double)(word(key, position) >> 12) + 0.5) * 0x1p-52;
}

// Natural logarithm of positive normal numbers, relative error below 2e-7: the exponent, and the
// series of the inverse hyperbolic tangent for the rest.
inline Vec<float> log(Vec<float> x) {
  Int<float> bits;
  std::memcpy(&bits, &x, sizeof bits);
  const Int<float> exponent = (bits - 0x3f3504f3) >> 23;  // of sqrt(1/2)
  const Int<float> rest = bits - (exponent << 23);
  Vec<float> m;
  std::memcpy(&m, &rest, sizeof m);
  const Vec<float> s = (m - 1.0f) / (m + 1.0f), q = s * s;
  Vec<float> p = q * (1.0f / 9) + 1.0f / 7;
  p = p * q + 1.0f / 5;
  p = p * q + 1.0f / 3;
  const Vec<float> k = __builtin_convertvector(exponent, Vec<float>);
  return k * 0.693359375f + (k * -2.12194440e-4f + (2.0f * s + 2.0f * s * q * p));
}

// Inverse error function; coefficients of Giles, "Approximating the erfinv function" (2012).
inline Vec<float> erfinv(Vec<float> x) {
  const Vec<float> w = -log((1.0f - x) * (1.0f + x));
  const Vec<float> a = w - 2.5f;
  Vec<float> p = a * 2.81022636e-08f + 3.43273939e-07f;
  p = p * a - 3.5233877e-06f;
  p = p * a - 4.39150654e-06f;
  p = p * a + 0.00021858087f;
  p = p * a - 0.00125372503f;
  p = p * a - 0.00417768164f;
  p = p * a + 0.246640727f;
  p = p * a + 1.50140941f;
  const Vec<float> b = root(w) - 3.0f;
  Vec<float> q = b * -0.000200214257f + 0.000100950558f;
  q = q * b + 0.00134934322f;
  q = q * b - 0.00367342844f;
  q = q * b + 0.00573950773f;
  q = q * b - 0.0076224613f;
  q = q * b + 0.00943887047f;
  q = q * b + 1.00167406f;
  q = q * b + 2.83297682f;
  return (w < 5.0f ? p : q) * x;
}

// Standard normal numbers first .. first + n of a stream, two to a word; `first` is even.
inline Vec<float> normal(uint64_t key, uint64_t first) {
  Words z;
  for (int i = 0; i < WORDS; i++) z[i] = key + (first / 2 + i + 1) * GAMMA;
  z = mix(z);
  Int<float> halves;
  std::memcpy(&halves, &z, sizeof halves);
  Vec<float> u = __builtin_convertvector(halves, Vec<float>) * 0x1p-31f;
  const float most = 1.0f - 0x1p-24f;
  u = u > most ? all(most) : u;
  u = u < -most ? all(-most) : u;
  return erfinv(u) * 1.41421356237f;
}

// The augmentation of one image, from its uniform numbers; the order is that of RANGES.
template <class T> struct Distortion {
  T xx, xy, x0, yx, yy, y0;        // map from output to input pixels, in -1..1
  T contrast, brightness, noise;
  T colour[3][3];

  Distortion(const double (*ranges)[2], uint64_t key, uint64_t first, int height, int width) {
    T p[10];
    for (int j = 0; j < 10; j++)
      p[j] = (T)ranges[j][0] + (T)(ranges[j][1] - ranges[j][0]) * (T)uniform(key, first + j);
    const T cos = std::cos(p[2]), sin = std::sin(p[2]), zoom = p[3], slant = std::tan(p[4]);
    xx = cos / zoom, xy = (cos * slant - sin) / zoom * ((T)height / width), x0 = 2 * p[0];
    yx = sin / zoom * ((T)width / height), yy = (sin * slant + cos) / zoom, y0 = 2 * p[1];
    brightness = p[5], contrast = p[6], noise = p[9];
    const T angle = T(6.28318530717958647692) * p[7];
    const T along = p[8] * std::cos(angle) / 3, across = p[8] * std::sin(angle) / std::sqrt(T(3));
    const T a = T(1) / 3 + 2 * along, b = T(1) / 3 - along - across, c = T(1) / 3 - along + across;
    const T rows[3][3] = {{a, b, c}, {c, a, b}, {b, c, a}};
    std::memcpy(colour, rows, sizeof rows);
  }
};

template <class T> class Augmenter {
 public:
  Augmenter(int channels, int height, int width, const double (*ranges)[2])
      : channels_(channels), height_(height), width_(width), ranges_(ranges),
        framed_((size_t)channels * (height + 4) * (width + 4)), place_(width), across_(width),
        down_(width), moved_((size_t)channels * height * width + 64) {
    for (int i = 0; i < 256; i++) level_[i] = T(i) / T(255);
  }

  // Image number `image` of a net's batch: uint8 [C, H, W] -> T [C, H, W] in 0..1.
  void image(const uint8_t* from, uint64_t key, uint64_t noise_key, uint64_t image, T* to) {
    const Distortion<T> d(ranges_, key, image * 10, height_, width_);
    frame(from);
    move(d);
    const size_t pixels = (size_t)height_ * width_;
    T offset[3], shift[3];
    for (int c = 0; c < channels_; c++) {
      double sum = 0;
      for (size_t i = 0; i < pixels; i++) sum += moved_[c * pixels + i];
      shift[c] = (T)(sum / pixels) * (1 - d.contrast) + d.brightness;
    }
    const bool grey = channels_ != 3;
    for (int c = 0; c < channels_; c++) {
      offset[c] = shift[c];
      if (!grey) offset[c] = d.colour[c][0] * shift[0] + d.colour[c][1] * shift[1] + d.colour[c][2] * shift[2];
    }
    for (int c = 0; c < channels_; c++) {
      const T* m = moved_.data();
      T* out = to + c * pixels;
      if (grey)
        for (size_t i = 0; i < pixels; i++) out[i] = m[c * pixels + i] * d.contrast + offset[c];
      else {
        const T r = d.colour[c][0] * d.contrast, g = d.colour[c][1] * d.contrast,
                b = d.colour[c][2] * d.contrast;
        for (size_t i = 0; i < pixels; i++)
          out[i] = m[i] * r + m[pixels + i] * g + m[2 * pixels + i] * b + offset[c];
      }
    }
    add_noise(noise_key, image * pixels * channels_, pixels * channels_, d.noise, to);
  }

 private:
  // The image in 0..1 with two black pixels around it.
  void frame(const uint8_t* from) {
    const size_t line = width_ + 4;
    for (int c = 0; c < channels_; c++)
      for (int y = 0; y < height_; y++, from += width_) {
        T* to = framed_.data() + (c * (height_ + 4) + y + 2) * line + 2;
        for (int x = 0; x < width_; x++) to[x] = level_[from[x]];
      }
  }

  // Bilinear samples of the framed image at the input position of each output pixel.
  void move(const Distortion<T>& d) {
    const int line = width_ + 4;
    for (int y = 0; y < height_; y++) {
      const T v = T(2 * y + 1) / height_ - 1;
      for (int x = 0; x < width_; x++) {
        const T u = T(2 * x + 1) / width_ - 1;
        T column = ((d.xx * u + d.xy * v + d.x0 + 1) * width_ - 1) / 2 + 2;
        T row = ((d.yx * u + d.yy * v + d.y0 + 1) * height_ - 1) / 2 + 2;
        column = std::min(std::max(column, T(0)), T(width_ + 2));
        row = std::min(std::max(row, T(0)), T(height_ + 2));
        const int left = (int)column, top = (int)row;
        place_[x] = top * line + left;
        across_[x] = column - left, down_[x] = row - top;
      }
      for (int c = 0; c < channels_; c++) {
        const T* from = framed_.data() + (size_t)c * (height_ + 4) * line;
        T* to = moved_.data() + ((size_t)c * height_ + y) * width_;
        const int *place = place_.data();
        const T *across = across_.data(), *down = down_.data();
        for (int x = 0; x < width_; x++) {
          const T *a = from + place[x], *b = a + line;
          const T upper = a[0] + across[x] * (a[1] - a[0]), lower = b[0] + across[x] * (b[1] - b[0]);
          to[x] = upper + down[x] * (lower - upper);
        }
      }
    }
  }

  static void add_noise(uint64_t key, uint64_t first, size_t count, T spread, T* to) {
    constexpr size_t n = Simd<float>::n;
    // Two numbers share a word: an odd start begins within one.
    const size_t skip = first % 2;
    for (size_t i = 0; i < count + skip; i += n) {
      float numbers[n];
      store(numbers, normal(key, first - skip + i));
      const size_t begin = i == 0 ? skip : 0, end = std::min(n, count + skip - i);
      T* out = to + i - skip;
      if (begin == 0 && end == n)
        for (size_t k = 0; k < n; k++) out[k] = noisy(out[k], numbers[k], spread);
      else
        for (size_t k = begin; k < end; k++) out[k] = noisy(out[k], numbers[k], spread);
    }
  }

  static T noisy(T value, float number, T spread) {
    return std::min(std::max(value + (T)number * spread, T(0)), T(1));
  }

  int channels_, height_, width_;
  const double (*ranges_)[2];
  std::vector<T> framed_;
  std::vector<int> place_;
  std::vector<T> across_, down_, moved_;
  T level_[256];
};

}  // namespace ws
