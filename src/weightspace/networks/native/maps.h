// How a convolution's output is cut into lines, and which taps reach each of them.
#pragma once

#include "products.h"

namespace ws {

// The shapes that `product` needs. A line is a row of pixels. If much of a kernel's input is
// padding, a line is a single pixel, so that taps that only meet zeros can be left out.
struct Map {
  std::vector<ptrdiff_t> offsets;  // of each tap and channel, channels innermost
  std::vector<Line> lines;
  ptrdiff_t length;

  Map() = default;
  Map(Map&&) = default;
  Map& operator=(Map&&) = default;

  // A matrix product: `depth` rows of input, `length` values apart.
  static Map dense(int depth, ptrdiff_t length) {
    Map map;
    for (int k = 0; k < depth; k++) map.offsets.push_back(k * length);
    map.length = length;
    map.spans_.push_back({0, depth});
    map.lines.push_back({0, 0, map.spans_.data(), 1});
    return map;
  }

  // A convolution of `channels` inputs of `side_in` pixels behind `padding` zeros, `line` values a
  // row and `channel` values each, to `side` pixels without padding. `lanes` of a vector.
  static Map convolution(int channels, int kernel, int padding, int side_in, int side,
                         int samples, ptrdiff_t channel, ptrdiff_t line, int lanes, int stride) {
    Map map;
    for (int y = 0; y < kernel; y++)
      for (int x = 0; x < kernel; x++)
        for (int c = 0; c < channels; c++)
          map.offsets.push_back(c * channel + y * line + x * samples);
    auto reach = [&](int to) {
      const int at = to * stride;
      return Span{std::max(0, padding - at), std::min(kernel, side_in + padding - at)};
    };
    long sum = 0;  // taps of all rows that are not padding
    for (int y = 0; y < side; y++) sum += reach(y).end - reach(y).begin;
    // Narrow lines have a cost: a last vector that is not full, and fewer sums per load of weights.
    const int vectors = (samples + lanes - 1) / lanes;
    const double narrow = (double)vectors * lanes / samples * (vectors > 1 ? 1.1 : 1.4);
    const bool single = stride > 1 || sum * narrow < (double)kernel * side;
    map.length = single ? samples : (ptrdiff_t)side * samples;
    std::vector<size_t> first;
    for (int y = 0; y < side; y++) {
      const Span rows = reach(y);
      for (int x = 0; x < (single ? side : 1); x++) {
        first.push_back(map.spans_.size());
        map.lines.push_back({y * stride * line + (ptrdiff_t)x * stride * samples,
                             ((ptrdiff_t)y * side + x) * samples, nullptr, 0});
        const Span columns = single ? reach(x) : Span{0, kernel};
        if (columns.end - columns.begin == kernel)
          map.spans_.push_back({rows.begin * kernel * channels, rows.end * kernel * channels});
        else
          for (int k = rows.begin; k < rows.end; k++)
            map.spans_.push_back({(k * kernel + columns.begin) * channels,
                                  (k * kernel + columns.end) * channels});
        map.lines.back().count = (int)(map.spans_.size() - first.back());
      }
    }
    for (size_t i = 0; i < first.size(); i++) map.lines[i].spans = map.spans_.data() + first[i];
    return map;
  }

  // The gradient of the input of a convolution with a stride: of `channels` outputs of `side` pixels
  // without zeros around them, to `side_in` pixels. A pixel is reached by every `stride`-th tap of
  // the turned kernel, which began `halo` pixels before it.
  static Map transposed(int channels, int kernel, int halo, int stride, int side, int side_in,
                        int samples) {
    Map map;
    const ptrdiff_t line = (ptrdiff_t)side * samples, channel = line * side;
    for (int y = 0; y < kernel; y++)
      for (int x = 0; x < kernel; x++)
        for (int c = 0; c < channels; c++)
          map.offsets.push_back(c * channel + y / stride * line + (ptrdiff_t)(x / stride) * samples);
    map.length = samples;
    // The first output that reaches a pixel, and the tap with which it does.
    auto first = [&](int at) {
      return at > halo ? (at - halo + stride - 1) / stride : -((halo - at) / stride);
    };
    auto taps = [&](int at) {
      std::vector<int> found;
      const int begin = first(at), tap = begin * stride + halo - at;
      for (int j = 0; tap + j * stride < kernel; j++)
        if (begin + j >= 0 && begin + j < side) found.push_back(tap + j * stride);
      return found;
    };
    std::vector<size_t> starts;
    for (int y = 0; y < side_in; y++)
      for (int x = 0; x < side_in; x++) {
        starts.push_back(map.spans_.size());
        map.lines.push_back({first(y) * line + (ptrdiff_t)first(x) * samples,
                             ((ptrdiff_t)y * side_in + x) * samples, nullptr, 0});
        for (int ky : taps(y))
          for (int kx : taps(x))
            map.spans_.push_back({(ky * kernel + kx) * channels, (ky * kernel + kx + 1) * channels});
        map.lines.back().count = (int)(map.spans_.size() - starts.back());
      }
    for (size_t i = 0; i < starts.size(); i++) map.lines[i].spans = map.spans_.data() + starts[i];
    return map;
  }

 private:
  std::vector<Span> spans_;
};

}  // namespace ws
